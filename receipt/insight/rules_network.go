package insight

// networkRules tell of who was talked to.
var networkRules = []rule{
	{Rule{"listened", Warning, "An address was listened on that others than this machine can reach, or could, for all that is known."}, listened(Remote)},
	{Rule{"connected", Notice, "Addresses beyond this machine were tried, name servers included."}, connected},
	{Rule{"listened_loopback", Notice, "An address was listened on that this machine alone can reach. Unix sockets do not count."}, listened(Loopback)},
}

func listened(scope Scope) func(*facts) hit {
	where := "to others than this machine"
	if scope == Loopback {
		where = "to this machine alone"
	}
	return func(f *facts) hit {
		var items []string
		for _, l := range f.net.Listeners {
			if l.Scope == scope {
				items = append(items, l.Addr+" "+l.Protocol)
			}
		}
		return about(items, func(n int) string { return count(n, "listening socket", "listening sockets") + ", open " + where })
	}
}

func connected(f *facts) hit {
	var items []string
	for _, p := range f.net.Peers {
		if p.Scope != Remote {
			continue
		}
		item := p.Addr
		for i, name := range p.Names {
			if i == 3 {
				break
			}
			item += " " + name
		}
		if p.Proxied {
			item += " by the proxy"
		}
		items = append(items, item)
	}
	return about(items, func(n int) string {
		return count(n, "address beyond this machine was", "addresses beyond this machine were") + " tried"
	})
}
