package agent

import (
	"slices"
	"strings"
)

// proxyAddress is where a command finds the proxy in a microVM that has one.
const proxyAddress = "127.0.0.1:3128"

// withProxy adds to an environment where the proxy is, as programs look for it:
// some in capitals, some in small letters, some in both. A variable that is set in
// either spelling is left alone in both.
func withProxy(env []string) []string {
	for _, v := range [][2]string{
		{"HTTP_PROXY", "http://" + proxyAddress},
		{"HTTPS_PROXY", "http://" + proxyAddress},
		{"ALL_PROXY", "http://" + proxyAddress},
		{"NO_PROXY", "localhost,127.0.0.1,::1"},
	} {
		if slices.ContainsFunc(env, func(kv string) bool {
			name, _, _ := strings.Cut(kv, "=")
			return strings.EqualFold(name, v[0])
		}) {
			continue
		}
		env = append(env, v[0]+"="+v[1], strings.ToLower(v[0])+"="+v[1])
	}
	return env
}
