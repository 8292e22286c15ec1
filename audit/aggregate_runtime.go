package audit

import "strings"

// Runtime infers from argv what runs the command, by the base name of the
// program: "python3.x" for python3, "python3.11" for python3.11, "node" for
// node18, "bash", "go"; "unknown" for any other program. It looks through env
// and its assignments, not through other wrappers.
func Runtime(argv []string) string {
	for len(argv) > 0 && baseName(argv[0]) == "env" {
		argv = argv[1:]
		for len(argv) > 0 && strings.Contains(argv[0], "=") {
			argv = argv[1:]
		}
	}
	if len(argv) == 0 {
		return "unknown"
	}
	name := strings.TrimSuffix(baseName(argv[0]), ".exe")
	if name == "python2" || name == "python3" {
		return name + ".x"
	}
	family := strings.TrimRight(name, "0123456789.")
	runtime, known := runtimes[family]
	switch {
	case !known:
		return "unknown"
	case family == "python" || family == "pypy":
		return name // too different to leave the version out
	default:
		return runtime
	}
}

func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// runtimes are the programs that run other programs, by name without version.
var runtimes = map[string]string{
	"python": "python", "pypy": "pypy",
	"node": "node", "nodejs": "node", "npm": "node", "npx": "node", "yarn": "node", "pnpm": "node",
	"bun": "bun", "deno": "deno",
	"ruby": "ruby", "perl": "perl", "php": "php", "lua": "lua", "Rscript": "r", "R": "r", "julia": "julia",
	"tclsh": "tcl", "guile": "guile", "erl": "erlang", "elixir": "elixir",
	"bash": "bash", "sh": "sh", "dash": "dash", "zsh": "zsh", "ksh": "ksh", "fish": "fish", "busybox": "busybox",
	"go": "go", "cargo": "rust", "java": "java", "dotnet": "dotnet", "make": "make",
}
