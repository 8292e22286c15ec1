package redact_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"glasshouse/receipt"
	"glasshouse/redact"
)

const (
	alnum36 = "0123456789abcdefghijABCDEFGHIJ012345"
	jwt     = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
	pem     = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\nAAAABG5vbmU=\n-----END OPENSSH PRIVATE KEY-----"
)

// Secrets stand between « and »; all else has to stay.
var recognised = []struct {
	rule string
	argv []string
}{
	{"github-token", []string{"x", "«ghp_" + alnum36 + "»"}},
	{"github-token", []string{"x", "a«gho_" + alnum36 + "»"}},
	{"github-token", []string{"x", "token%3D«ghs_" + alnum36 + "»&x"}},
	{"github-token", []string{"x", "https://x-access-token:«ghs_1234567_" + jwt + "»@h/x"}},
	{"github-token", []string{"x", "echo «ghs_1234567_" + jwt + "» | cat"}},
	{"github-token", []string{"x", "«ghs_" + alnum36 + "».txt"}},
	{"github-token", []string{"x", "«github_pat_11ABCDEFG0123456789_abcdefghijklmnop»"}},
	{"gitlab-token", []string{"x", "«glpat-abcDEF123456_-xyz789»"}},
	{"gitlab-token", []string{"x", "«gldt-abcDEF123456_-xyz789»"}},
	{"aws-key-id", []string{"x", "«AKIAIOSFODNN7EXAMPLE»"}},
	{"aws-key-id", []string{"x", "id=«ASIAIOSFODNN7EXAMPLE»,y"}},
	{"slack-token", []string{"x", "«xoxb-1234567890-abcdefABCDEF»"}},
	{"slack-webhook", []string{"curl", "https://hooks.slack.com/services/«T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX»"}},
	{"google-api-key", []string{"x", "«AIzaSyA1234567890abcdefghijklmnopqrstuv»"}},
	{"google-token", []string{"x", "«ya29.a0AfH6SMBx1234567890abcdefghij»"}},
	{"google-token", []string{"x", "«GOCSPX-abcdefghijklmnopqrstuvwxyz12»"}},
	{"anthropic-api-key", []string{"x", "«sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789»"}},
	{"openai-api-key", []string{"x", "«sk-proj-abcdefghijklmnop_rstuvwxyz0123456789»"}},
	{"openai-api-key", []string{"x", "«sk-abcdefghijklmnopqrst0123456789ABCDEFGHIJ»"}},
	{"npm-token", []string{"x", "«npm_" + alnum36 + "»"}},
	{"pypi-token", []string{"x", "«pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAwMDAwMDAwMDAwMDAw»"}},
	{"stripe-key", []string{"x", "«sk_live_0123456789abcdefghijABCD»"}},
	{"stripe-key", []string{"x", "«rk_test_0123456789abcdefghijABCD»"}},
	{"huggingface-token", []string{"x", "«hf_abcdefghijklmnopqrstuvwxyzABCDEFGH»"}},
	{"sendgrid-key", []string{"x", "«SG.abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG»"}},
	{"vault-token", []string{"x", "«hvs.CAESIJ1234567890abcdefghijklmn»"}},
	{"docker-token", []string{"x", "«dckr_pat_abcdefghijklmnopqrstuvwxyz1»"}},
	{"age-secret-key", []string{"x", "«AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ»"}},
	{"jwt", []string{"x", "«" + jwt + "»"}},
	{"jwt", []string{"x", "id_hint=«" + jwt + "»;y"}},
	{"private-key", []string{"x", "«" + pem + "»\n"}},
	{"private-key", []string{"x", "key: «-----BEGIN RSA PRIVATE KEY-----\nMIIEow»"}},

	{"flag", []string{"x", "--password=«hunter2»"}},
	{"flag", []string{"x", "--password=«correct horse battery»", "y"}},
	{"flag", []string{"x", "--password", "«hunter2»", "y"}},
	{"flag", []string{"x", "--db-password", "«1234»"}},
	{"flag", []string{"x", "--passphrase", "«a b c»"}},
	{"flag", []string{"x", "--token", "«abc»"}},
	{"flag", []string{"x", "--authToken=«abc»"}},
	{"flag", []string{"x", "--secret=«abc»"}},
	{"flag", []string{"x", "--client-secret", "«$ecret»"}},
	{"flag", []string{"x", "--api-key", "«abc»"}},
	{"flag", []string{"x", "--apikey=«abc»"}},
	{"flag", []string{"x", "--access-key=«abc»"}},
	{"flag", []string{"x", "--password", "«-Xy9abcd»"}},
	{"flag", []string{"x", "-password", "«abc»"}},
	{"flag", []string{"keytool", "-storepass", "«changeit»"}},
	{"flag", []string{"x", "--password=«/starts/with/a/slash»"}},
	{"flag", []string{"mysql", "-p«hunter2»", "db"}},
	{"flag", []string{"/usr/bin/mysqldump", "-u", "root", "-p«hunter2»", "db"}},
	{"flag", []string{"sshpass", "-p", "«hunter2»", "ssh", "h"}},
	{"flag", []string{"sshpass", "-p«hunter2»", "ssh", "-p", "22", "h"}},
	{"flag", []string{"redis-cli", "-h", "h", "-a", "«hunter2»"}},
	{"flag", []string{"docker", "login", "-u", "me", "-p", "«hunter2»", "reg"}},
	{"flag", []string{"docker", "login", "-u", "me", "-p«hunter2»", "reg"}},
	{"flag", []string{"docker", "exec", "db", "mysql", "-p«hunter2»"}},
	{"flag", []string{"plink", "-pw", "«hunter2»", "h"}},
	{"flag", []string{"mosquitto_pub", "-u", "me", "-P", "«hunter2»"}},
	{"flag", []string{"twine", "upload", "-u", "me", "-p", "«hunter2»"}},
	{"flag", []string{"cqlsh", "-u", "me", "-p", "«hunter2»"}},
	{"flag", []string{"curl", "-E", "c.pem:«hunter2»", "h"}},
	{"flag", []string{"curl", "--cert", "c.pem:«hunter2»", "h"}},
	{"flag", []string{"ldapsearch", "-x", "-w", "«hunter2»"}},
	{"flag", []string{"openssl", "rsa", "-passin", "pass:«hunter2»"}},
	{"flag", []string{"smbclient", "//h/s", "-U", "me%«hunter2»"}},
	{"flag", []string{"zip", "-P", "«hunter2»", "a.zip"}},
	{"flag", []string{"7z", "x", "-p«hunter2»", "a.7z"}},
	{"flag", []string{"curl", "-u", "me:«hunter2»", "h"}},
	{"flag", []string{"curl", "-sSu", "me:«hunt:er2»", "h"}},
	{"flag", []string{"curl", "-ume:«hunter2»", "h"}},
	{"flag", []string{"curl", "--user", "me:«hunter2»"}},
	{"flag", []string{"curl", "--user=me:«hunter2»"}},
	{"flag", []string{"curl", "--oauth2-bearer", "«abc»"}},
	{"flag", []string{"sudo", "-u", "bob", "curl", "-u", "me:«hunter2»"}},
	{"flag", []string{"http", "-a", "me:«hunter2»", "h"}},
	{"cookie", []string{"curl", "-b", "«sid=0123»"}},

	{"assignment", []string{"aws", "configure", "set", "aws_secret_access_key", "«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»"}},
	{"assignment", []string{"npm", "config", "set", "//registry.example/:_authToken", "«abc»"}},
	{"assignment", []string{"sh", "-c", "aws configure set aws_session_token «abc» --profile x"}},
	{"assignment", []string{"env", "FOO_TOKEN=«x»", "cmd"}},
	{"assignment", []string{"env", "PASSWORD=«a b»", "cmd"}},
	{"assignment", []string{"env", "PGPASSWORD=«hunter2»", "psql"}},
	{"assignment", []string{"env", "MYSQL_PWD=«hunter2»", "mysql"}},
	{"assignment", []string{"env", "AWS_SECRET_ACCESS_KEY=«wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»", "aws"}},
	{"assignment", []string{"env", "DEPLOY_KEY=«Zm9vYmFy1234QmF6cXV4»", "cmd"}},
	{"assignment", []string{"docker", "run", "-e", "DB_PASSWORD=«hunter2»", "img"}},
	{"assignment", []string{"java", "-Djavax.net.ssl.keyStorePassword=«hunter2»", "-jar", "x"}},
	{"assignment", []string{"kubectl", "create", "secret", "generic", "s", "--from-literal=password=«hunter2»"}},
	{"assignment", []string{"npm", "config", "set", "//registry.example/:_authToken=«abc»"}},
	{"assignment", []string{"psql", "host=h password=«hunter2» dbname=d"}},
	{"assignment", []string{"x", "Server=h;Password=«hunter2»;Encrypt=yes"}},
	{"assignment", []string{"curl", "https://h/x?access_token=«abc»&y=1"}},
	{"assignment", []string{"sh", "-c", "export API_TOKEN=«abc»; cmd"}},
	{"assignment", []string{"sh", "-c", "TOKEN=«abc» cmd && x"}},
	{"assignment", []string{"sh", "-c", "TOKEN='«a b»' cmd"}},
	{"assignment", []string{"sh", "-c", `TOKEN="«a b»" cmd`}},
	{"assignment", []string{"python3", "-c", "password = '«hunter2»'\nx()"}},
	{"assignment", []string{"python3", "-c", `os.environ["API_TOKEN"] = "«abc»"`}},
	{"assignment", []string{"node", "-e", `const apiKey="«abc»"; const x = "y"`}},
	{"assignment", []string{"cargo", "--config", `registry.token = "«abc»"`}},
	{"json", []string{"curl", "-d", `{"user":"x","password": "«hunter2»","y":1}`}},
	{"json", []string{"sh", "-c", `curl -d "{\"password\":\"«hunter2»\"}" h`}},
	{"json", []string{"curl", "-d", `{"api_key":"«a\"b»"}`}},

	{"url-password", []string{"git", "clone", "https://me:«hunter2»@h/x"}},
	{"url-password", []string{"x", "postgres://me:«p%40ss»@h:5432/db"}},
	{"url-password", []string{"x", "redis://:«hunter2»@h"}},
	{"url-password", []string{"x", "--proxy=http://me:«hunt@er2»@h"}},
	{"url-token", []string{"git", "clone", "https://«a94a8fe5ccb19ba61c4c0873»@h/x"}},
	{"url-token", []string{"git", "clone", "https://«a94a8fe5ccb19ba61c4c0873»:x-oauth-basic@h/x"}},

	{"authorization", []string{"curl", "-H", "Authorization: Bearer «abc»"}},
	{"authorization", []string{"curl", "-HAuthorization: Bearer «abc»"}},
	{"authorization", []string{"curl", "--header=authorization: token «abc»"}},
	{"authorization", []string{"curl", "-H", "Authorization: Basic «bWU6aHVudGVyMg==»"}},
	{"authorization", []string{"curl", "-H", "Authorization: «abc»"}},
	{"authorization", []string{"curl", "-H", "Authorization:Bearer «abc»"}},
	{"authorization", []string{"wget", "--header", "Proxy-Authorization: Digest «username=\"me\", response=\"x\"»"}},
	{"authorization", []string{"python3", "-c", "get(h, headers={'Authorization': 'Bearer «abc»'})"}},
	{"header", []string{"curl", "-H", "PRIVATE-TOKEN: «abc»"}},
	{"header", []string{"curl", "-H", "X-Api-Key: «abc»"}},
	{"header", []string{"curl", "-H", "apikey: «abc»"}},
	{"header", []string{"curl", "-HToken: «abc»"}},
	{"header", []string{"wget", "--header=Token: «abc»"}},
	{"header", []string{"sh", "-c", "curl -H 'Token: «abc»' h"}},
	{"header", []string{"sh", "-c", `curl --header="apikey: «abc»" h`}},
	{"cookie", []string{"curl", "-H", "Cookie: «sid=1; b=2»"}},
	{"authorization", []string{"sh", "-c", "curl -H 'Authorization: Bearer «abc»' h"}},
	{"authorization", []string{"sh", "-c", `sh -c "curl -H 'Authorization: Bearer «abc»' h"`}},
	{"authorization", []string{"sh", "-c", `sh -c "curl -H \"Authorization: Bearer «abc»\" h"`}},
	{"assignment", []string{"sh", "-c", `sh -c "TOKEN=\"«a b»\" cmd"`}},
	{"assignment", []string{"sh", "-c", `sh -c "env \"TOKEN=«a b»\" cmd"`}},
	{"json", []string{"x", `{'password': '«a"b»'}`}},
	{"url-password", []string{"sh", "-c", "curl -v https://u:«p»@h; true"}},
	{"flag", []string{"sh", "-c", "mysql -h h -p«hunter2» db | cat"}},
	{"flag", []string{"sh", "-c", "true; curl -u me:«hunter2» h"}},
	{"flag", []string{"sh", "-c", "true && mycmd --password '«a b»' h"}},
	{"flag", []string{"sh", "-c", "echo don't; mycmd --password «hunter2»"}},
	{"flag", []string{"bash", "-lc", `bash -c "sshpass -p «hunter2» ssh h"`}},
	{"flag", []string{"sh", "-c", "true --password=«hunter2hunter2»; echo $0 >/dev/null"}},
	{"flag", []string{"ssh", "h", "mycmd --token «abc» x"}},
	{"flag", []string{"x", "--pwd=«hunter2»"}},
	{"flag", []string{"x", "--pwd", "«hunter2»"}},
	{"assignment", []string{"x", "DRIVER=d;SERVER=h;UID=me;PWD=«hunter2»;Encrypt=yes"}},
	{"assignment", []string{"sh", "-c", "isql -k 'SERVER=h;UID=me;PWD=«hunter2»'"}},
	{"flag", []string{"sh", "-c", "mysql -u root -p'«hunt er2»' x"}},
	{"flag", []string{"sh", "-c", `mysql -u root -p"«hunter2»" x`}},
	{"flag", []string{"sh", "-c", "curl -u me:'«hunter2»' h"}},
}

// stays are arguments in which there is no secret.
var stays = [][]string{
	{"x", "--password-file=/x"}, {"x", "--password-file", "x"}, {"x", "--password-stdin"}, {"x", "--token-budget=5"},
	{"x", "--no-password", "file"}, {"x", "--password="}, {"x", "--password", ""}, {"x", "--password", "--verbose"}, {"x", "--password"},
	{"mysql", "--password", "-h", "host"}, {"x", "--max-token", "4096"}, {"x", "--max-tokens=100"}, {"x", "--tokenizer=gpt2"},
	{"x", "--ask-password=true"}, {"x", "--secret", "id=npm,src=/x"}, {"x", "--token", "/var/run/secrets/token"},
	{"x", "--private-key", "id_rsa.pem"}, {"x", "--private-key=~/.ssh/id_ed25519"}, {"x", "--key=name"}, {"x", "--sort-key", "name"},
	{"ansible-playbook", "--ask-become-pass", "site.yml"}, {"gpg", "--default-key", "ABCDEF1234567890ABCDEF1234567890ABCDEF12"},
	{"x", "--pad-token", "[PAD]"}, {"x", "--mask-token=[MASK]"}, {"x", "--pad-token", "<pad>"}, {"x", "--first-pass"}, {"x", "--compass=north"}, {"x", "--pass", "2"}, {"x", "--bypass", "y"},
	{"git", "show", "da39a3ee5e6b4b0d3255bfef95601890afd80709"}, {"x", "550e8400-e29b-41d4-a716-446655440000"},
	{"pip", "install", "sk-learn"}, {"pip", "install", "sk-learn-contrib-extras-for-everyone"}, {"ls", "disk-images-2024-01-01-and-more-of-them"},
	{"x", "eyJ"}, {"x", "eyJhbGciOiJIUzI1NiJ9"}, {"x", "eyJ.eyJ.x"}, {"env", "PATH=/usr/bin"}, {"env", "KEY="}, {"env", "KEY=value", "x"},
	{"env", "PWD=/home/someone/somewhere", "OLDPWD=/x"}, {"x", "--pwd", "./src"}, {"sh", "-c", "cd x; PWD=. cmd; PWD=$HOME cmd"}, {"proot", "--pwd=/x"},
	{"env", "SORT_KEY=last_name"}, {"env", "CACHE_KEY=v1-da39a3ee5e6b4b0d3255bfef95601890afd80709"},
	{"env", "TOKEN=", "x"}, {"x", "AKIA"}, {"x", "BAKIAIOSFODNN7EXAMPLE"}, {"x", "AKIAIOSFODNN7EXAMPLEX"}, {"x", "ghp_short"}, {"x", "glpat-"},
	{"x", "xoxo-love"}, {"x", "npm_config_registry=https://registry.example"}, {"x", "pypi-mirror"}, {"x", "hf_model"},
	{"git", "clone", "https://example.org/a:b@c"}, {"git", "clone", "ssh://git@example.org/x"}, {"git", "clone", "git@example.org:x/y"},
	{"x", "https://user@example.org"}, {"x", "http://[::1]:80/"}, {"x", "https://user:@example.org"},
	{"curl", "-u", "me", "h"}, {"curl", "-u", "me:"}, {"tar", "-u", "a:b"}, {"ssh", "-p", "2222", "h"}, {"mkdir", "-p", "a/b"}, {"mysql", "-p", "db"},
	{"docker", "run", "-p", "8080:80", "img"}, {"cp", "-p", "a", "b"}, {"grep", "-u", "a:b"}, {"docker", "run", "--name", "mysql", "-p3306:3306", "img"},
	{"sh", "-c", "mycmd --password $PASS"}, {"sh", "-c", `mycmd --password="$PASS"`}, {"sh", "-c", "TOKEN=$(cat f) cmd"}, {"sh", "-c", "TOKEN=${X} y"},
	{"sh", "-c", `curl -H "Authorization: Bearer $TOKEN" h`}, {"sh", "-c", "curl https://u:$P@h x"}, {"sh", "-c", "curl -u me:$P h"}, {"sh", "-c", "mysql -p$P x"},
	{"git", "commit", "-m", "Token: expire it early"}, {"git", "commit", "-m", "the password is wrong: fix"}, {"git", "commit", "-m", "a --password flag"}, {"sh", "-c", "echo 'a Token: there'"},
	{"git", "config", "set", "user.token", "--global"}, {"kubectl", "config", "set", "x", "y"}, {"docker", "login", "--password-stdin"}, {"curl", "-E", "c.pem"},
	{"curl", "-H", "Tokens: 5"}, {"curl", "-H", "X: Token: x"}, {"echo", "set token to"},
	{"x", "-----BEGIN PUBLIC KEY-----\nMII\n-----END PUBLIC KEY-----"}, {"x", "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----"},
	{"python3", "-c", "d = {'Authorization': 'Bearer ' + t}"}, {"x", `{"password": ""}`}, {"x", `{"token_count": "12"}`}, {"x", "a = b"}, {"x", "a://b"},
	{"x", "--password=***"}, {"x", "--token=xxxxxxxx"}, {"openssl", "rsa", "-passin", "env:PASS"}, {"openssl", "rsa", "-passin", "file:/x"},
	{"x", "https://hooks.slack.com/services/"}, {"x", "=", "==", ":", "://", "--", "-", "''", `"`}, {"x", "a token b"},
	{"python3", "-c", "if token == 'a' or token != 'b': password = x; token = f('y'); secret = ''"}, {"x", "token = abc"}, {"x", "['token'] 'a'"},
	{"x", "a = 'b'"}, {"x", "= 'b'"}, {"x", "] = 'b'"}, {"x", "'] = 'b'"}, {"x", "token =  "}, {"x", "token = '"},
}

var marked = regexp.MustCompile(`(?s)«.*?»`)

func redacted(t testing.TB, o redact.Options, argv ...string) *receipt.Receipt {
	t.Helper()
	r, err := redact.New(o)
	if err != nil {
		t.Fatal(err)
	}
	rec := &receipt.Receipt{Command: receipt.Command{Argv: slices.Clone(argv)}}
	r.Receipt(rec)
	return rec
}

func TestRecognised(t *testing.T) {
	for _, c := range recognised {
		var in, want []string
		for _, arg := range c.argv {
			in = append(in, strings.NewReplacer("«", "", "»", "").Replace(arg))
			want = append(want, marked.ReplaceAllString(arg, "[redacted:1]"))
		}
		rec := redacted(t, redact.Options{}, in...)
		if !slices.Equal(rec.Command.Argv, want) {
			t.Errorf("%q: %q, want %q", in, rec.Command.Argv, want)
			continue
		}
		if len(rec.Redactions) != 1 || rec.Redactions[0].Rule != c.rule {
			t.Errorf("%q: %+v, want rule %s", in, rec.Redactions, c.rule)
		}
	}
}

func TestStays(t *testing.T) {
	for _, argv := range stays {
		rec := redacted(t, redact.Options{}, argv...)
		if !slices.Equal(rec.Command.Argv, argv) || len(rec.Redactions) != 0 {
			t.Errorf("%q became %q: %+v", argv, rec.Command.Argv, rec.Redactions)
		}
	}
}
