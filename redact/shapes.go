package redact

import (
	"strings"
	"sync"
)

// A shape is how the tokens of one issuer look: a prefix that nobody else
// uses, and characters of one class.
type shape struct {
	rule   string
	prefix string
	class  class
	min    int // characters behind the prefix
	max    int // 0: any number
	// anywhere: the prefix says enough for the token to be found behind a letter
	// or digit too, as in "%3Dghp_...".
	anywhere bool
	// extra is what the characters have to be beside; nil for nothing.
	extra func(token string) bool
}

// A class is a set of bytes.
type class [256]bool

func classOf(ranges string) (c class) {
	for i := 0; i < len(ranges); i += 2 {
		for b := int(ranges[i]); b <= int(ranges[i+1]); b++ {
			c[b] = true
		}
	}
	return c
}

var (
	alnum     = classOf("09AZaz")
	wordChars = classOf("09AZaz__")
	base64URL = classOf("09AZaz__--")
	dotted    = classOf("09AZaz__--..")
	upper     = classOf("09AZ")
	hook      = classOf("09AZaz//")
)

// shapes follow what the issuers publish, and what secret scanners have learnt.
var shapes = []shape{
	{rule: "github-token", prefix: "ghp_", class: alnum, min: 36, max: 255, anywhere: true},
	{rule: "github-token", prefix: "gho_", class: alnum, min: 36, max: 255, anywhere: true},
	{rule: "github-token", prefix: "ghu_", class: alnum, min: 36, max: 255, anywhere: true},
	{rule: "github-token", prefix: "ghs_", class: dotted, min: 36, max: 4096, anywhere: true, extra: ofInstallation},
	{rule: "github-token", prefix: "ghs_", class: alnum, min: 36, max: 255, anywhere: true},
	{rule: "github-token", prefix: "ghr_", class: alnum, min: 36, max: 255, anywhere: true},
	{rule: "github-token", prefix: "github_pat_", class: wordChars, min: 22, max: 255, anywhere: true},
	{rule: "gitlab-token", prefix: "glpat-", class: dotted, min: 20, max: 300, anywhere: true},
	{rule: "gitlab-token", prefix: "gldt-", class: base64URL, min: 20, max: 64, anywhere: true},
	{rule: "gitlab-token", prefix: "glrt-", class: dotted, min: 20, max: 300, anywhere: true},
	{rule: "gitlab-token", prefix: "glptt-", class: base64URL, min: 20, max: 64, anywhere: true},
	{rule: "gitlab-token", prefix: "glcbt-", class: base64URL, min: 20, max: 64, anywhere: true},
	{rule: "aws-key-id", prefix: "AKIA", class: upper, min: 16, max: 16},
	{rule: "aws-key-id", prefix: "ASIA", class: upper, min: 16, max: 16},
	{rule: "slack-token", prefix: "xoxb-", class: base64URL, min: 10, max: 255, anywhere: true},
	{rule: "slack-token", prefix: "xoxp-", class: base64URL, min: 10, max: 255, anywhere: true},
	{rule: "slack-token", prefix: "xoxa-", class: base64URL, min: 10, max: 255, anywhere: true},
	{rule: "slack-token", prefix: "xoxr-", class: base64URL, min: 10, max: 255, anywhere: true},
	{rule: "slack-token", prefix: "xoxs-", class: base64URL, min: 10, max: 255, anywhere: true},
	{rule: "slack-token", prefix: "xoxe-", class: base64URL, min: 10, max: 255, anywhere: true},
	{rule: "slack-token", prefix: "xoxc-", class: base64URL, min: 10, max: 255, anywhere: true},
	{rule: "slack-token", prefix: "xoxd-", class: base64URL, min: 10, max: 255, anywhere: true},
	{rule: "slack-token", prefix: "xapp-", class: base64URL, min: 20, max: 255},
	{rule: "google-api-key", prefix: "AIza", class: base64URL, min: 35, max: 35},
	{rule: "google-token", prefix: "ya29.", class: base64URL, min: 20, max: 2048},
	{rule: "google-token", prefix: "GOCSPX-", class: base64URL, min: 28, max: 28, anywhere: true},
	{rule: "anthropic-api-key", prefix: "sk-ant-", class: base64URL, min: 24, max: 255},
	{rule: "openai-api-key", prefix: "sk-proj-", class: base64URL, min: 20, max: 255, extra: mixed},
	{rule: "openai-api-key", prefix: "sk-svcacct-", class: base64URL, min: 20, max: 255, extra: mixed},
	{rule: "openai-api-key", prefix: "sk-admin-", class: base64URL, min: 20, max: 255, extra: mixed},
	{rule: "openai-api-key", prefix: "sk-", class: alnum, min: 32, max: 255, extra: mixed},
	{rule: "npm-token", prefix: "npm_", class: alnum, min: 36, max: 36},
	{rule: "pypi-token", prefix: "pypi-AgE", class: base64URL, min: 16, max: 1024, anywhere: true},
	{rule: "stripe-key", prefix: "sk_live_", class: alnum, min: 16, max: 255, anywhere: true},
	{rule: "stripe-key", prefix: "sk_test_", class: alnum, min: 16, max: 255, anywhere: true},
	{rule: "stripe-key", prefix: "rk_live_", class: alnum, min: 16, max: 255, anywhere: true},
	{rule: "stripe-key", prefix: "rk_test_", class: alnum, min: 16, max: 255, anywhere: true},
	{rule: "stripe-key", prefix: "whsec_", class: alnum, min: 24, max: 255},
	{rule: "huggingface-token", prefix: "hf_", class: alnum, min: 34, max: 40},
	{rule: "sendgrid-key", prefix: "SG.", class: dotted, min: 60, max: 70, extra: mixed},
	{rule: "vault-token", prefix: "hvs.", class: base64URL, min: 24, max: 255},
	{rule: "vault-token", prefix: "hvb.", class: base64URL, min: 24, max: 1024},
	{rule: "docker-token", prefix: "dckr_pat_", class: base64URL, min: 24, max: 64, anywhere: true},
	{rule: "digitalocean-token", prefix: "dop_v1_", class: alnum, min: 64, max: 64, anywhere: true},
	{rule: "shopify-token", prefix: "shpat_", class: alnum, min: 32, max: 32},
	{rule: "atlassian-token", prefix: "ATATT3", class: base64URL, min: 40, max: 300},
	{rule: "age-secret-key", prefix: "AGE-SECRET-KEY-1", class: upper, min: 40, max: 58, anywhere: true},
	{rule: "age-secret-key", prefix: "AGE-SECRET-KEY-PQ-1", class: upper, min: 40, max: 120, anywhere: true},
	{rule: "slack-webhook", prefix: slackHook, class: hook, min: 24, max: 120, anywhere: true},
	{rule: "jwt", prefix: "eyJ", class: dotted, min: 24, extra: isJWT},
}

// slackHook is followed by what makes a webhook's address a secret; it is none
// itself.
const slackHook = "hooks.slack.com/services/"

// mixed tells digits among letters, which words joined by dashes have not.
func mixed(token string) bool { return looksRandom(token) }

// isJWT wants a header, a payload and a signature; an encrypted token has two
// parts more.
func isJWT(token string) bool {
	parts := strings.SplitN(token, ".", 6)
	return (len(parts) == 3 || len(parts) == 5) && len(parts[0]) >= 12 && len(parts[1])+len(parts[2]) >= 12 && parts[2] != ""
}

// ofInstallation wants what GitHub gives to an installation of an app since 2026:
// the app's number and a JWT. Those before had letters and digits alone.
func ofInstallation(token string) bool {
	app, rest, _ := strings.Cut(strings.TrimPrefix(token, "ghs_"), "_")
	return app != "" && strings.HasPrefix(rest, "eyJ")
}

// shapeIndex finds the shapes that may begin with two bytes.
type shapeIndex struct {
	pairs [1 << 10]uint64     // a bit for each pair
	by    map[uint16][]*shape // longer prefixes first
}

var shapesByPair = sync.OnceValue(func() *shapeIndex {
	x := &shapeIndex{by: map[uint16][]*shape{}}
	for i := range shapes {
		s := &shapes[i]
		pair := uint16(s.prefix[0])<<8 | uint16(s.prefix[1])
		x.pairs[pair/64] |= 1 << (pair % 64)
		x.by[pair] = append(x.by[pair], s)
	}
	return x
})

// at returns where the token that begins at i ends, and its rule; "" if none
// does.
func (x *shapeIndex) at(s string, i int) (from, to int, rule string) {
	if i+1 >= len(s) {
		return 0, 0, ""
	}
	pair := uint16(s[i])<<8 | uint16(s[i+1])
	if x.pairs[pair/64]&(1<<(pair%64)) == 0 {
		return 0, 0, ""
	}
	for _, sh := range x.by[pair] {
		if end := sh.end(s, i); end > 0 {
			from = i
			if sh.prefix == slackHook {
				from += len(slackHook)
			}
			return from, end, sh.rule
		}
	}
	return 0, 0, ""
}

// end is where a token of this shape that begins at i ends; 0 if there is none.
func (sh *shape) end(s string, i int) int {
	if !strings.HasPrefix(s[i:], sh.prefix) || !sh.anywhere && i > 0 && joins(s, i) {
		return 0
	}
	begin := i + len(sh.prefix)
	end := begin
	for end < len(s) && sh.class[s[end]] && (sh.max == 0 || end-begin <= sh.max) {
		end++
	}
	if sh.class['.'] { // the end of a sentence
		for end > begin && s[end-1] == '.' {
			end--
		}
	}
	if n := end - begin; n < sh.min {
		return 0
	} else if sh.max > 0 && n > sh.max {
		if !sh.anywhere {
			return 0
		}
		end = begin + sh.max
	}
	if sh.extra != nil && !sh.extra(s[i:end]) {
		return 0
	}
	return end
}

// joins tells whether what begins at i continues a word: behind a letter or a
// digit, unless that belongs to an escape such as \n or %3D.
func joins(s string, i int) bool {
	switch {
	case !base64URL[s[i-1]] && s[i-1] != '.', s[i-1] == '-' && (i == 1 || s[i-2] == '-' || s[i-2] == ' '):
		return false
	case i >= 2 && s[i-2] == '\\', i >= 3 && s[i-3] == '%':
		return false
	}
	return true
}
