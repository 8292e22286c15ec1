package rights_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"glasshouse/internal/rights"
	testrecorded "glasshouse/test/recorded"
)

const printOwn = "GLASSHOUSE_TEST_PRINT_RIGHTS"

func TestMain(m *testing.M) {
	if os.Getenv(printOwn) != "" {
		fmt.Printf("%+v", rights.Own())
		return
	}
	os.Exit(m.Run())
}

func TestOwn(t *testing.T) {
	testrecorded.NeedRoot(t)
	if !rights.Own().Capable && os.Getenv("CI") == "" {
		t.Skip(os.ErrPermission) // what is to be given up must be there
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		enter []string
		want  rights.Linux
	}{
		"root":           {nil, rights.Linux{Capable: true}},
		"no rights":      {[]string{"setpriv", "--inh-caps=-all", "--bounding-set=-all"}, rights.Linux{Bounded: true}},
		"just enough":    {[]string{"setpriv", "--inh-caps=-all", "--bounding-set=-all,+cap_38,+cap_39"}, rights.Linux{Capable: true}},
		"one of two":     {[]string{"setpriv", "--inh-caps=-all", "--bounding-set=-all,+cap_39"}, rights.Linux{Bounded: true}},
		"a user":         {[]string{"setpriv", "--reuid=65534", "--clear-groups"}, rights.Linux{}},
		"user namespace": {[]string{"unshare", "-Ur"}, rights.Linux{UserNamespace: true}},
	} {
		t.Run(name, func(t *testing.T) {
			argv := append(tc.enter[:len(tc.enter):len(tc.enter)], "/proc/self/fd/3")
			cmd := exec.Command(argv[0], argv[1:]...)
			// A user may not look into the folder of the test.
			f, err := os.Open(self)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.ExtraFiles = []*os.File{f}
			cmd.Env = append(os.Environ(), printOwn+"=1")
			out, err := cmd.CombinedOutput()
			if want := fmt.Sprintf("%+v", tc.want); err != nil || string(out) != want {
				t.Errorf("%v: %s, want %s", err, out, want)
			}
		})
	}
}
