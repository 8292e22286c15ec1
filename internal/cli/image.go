package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"glasshouse/backend/microvm/image"
)

func (a *app) imageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "image",
		Short:   "Build what microVMs boot from",
		Long:    "Build the image that microVMs boot from: a kernel, glasshouse itself, and a root\nfile system.",
		Example: "  glasshouse image build --rootfs debian:bookworm-slim",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError(cmd, fmt.Errorf("unknown command %q", args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.imageBuildCommand())
	return cmd
}

func (a *app) imageBuildCommand() *cobra.Command {
	o := image.Options{Version: version()}
	var size byteSize
	cmd := &cobra.Command{
		Use:   "build [flags]",
		Short: "Build an image",
		Long: `Build an image: a folder with a kernel, an initramfs with this glasshouse as the
guest's first process and the drivers that the kernel needs, and a root file
system. One that was built of the same stays as it is.

The kernel is a bzImage in a FILE, which --modules has the modules of unless all
drivers are built in; a package of Debian, deb:FILE.deb; or one that apt
downloads from the archive of the Debian that runs this, deb:PACKAGE. Nothing is
installed.

The root file system is made of a container image, from a folder that is an OCI
layout or, by its reference, from a registry; of a tar, which may be compressed;
or of a folder, with all its owners and modes if root builds it. Without
--rootfs it is a few empty folders.

Nothing is downloaded but a package or a container image.`,
		Example: `  glasshouse image build --rootfs debian:bookworm-slim
  glasshouse image build -o ./image --kernel /boot/vmlinuz-6.1.0 --modules /lib/modules/6.1.0 --rootfs dir:/srv/root`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, value := range map[string]string{"kernel": o.Kernel, "modules": o.Modules, "rootfs": o.RootFS, "output": o.Dir} {
				if cmd.Flags().Changed(name) && value == "" {
					return usageError(cmd, fmt.Errorf("--%s is empty", name))
				}
			}
			if o.Modules != "" && (o.Kernel == "" || strings.HasPrefix(o.Kernel, "deb:")) {
				return usageError(cmd, errors.New("--modules is for a kernel in a file: a package has its own"))
			}
			o.RootFSSize = int64(size)
			return a.buildImage(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&o.Dir, "output", "o", "", "put the image into the folder `DIR` (default: image, in the state folder)")
	flags.StringVar(&o.Kernel, "kernel", "", "boot this kernel: `FILE|deb:FILE.deb|deb:PACKAGE` (default "+image.DefaultKernel+")")
	flags.StringVar(&o.Modules, "modules", "", "the modules of the kernel FILE are in `DIR`, such as /lib/modules/RELEASE")
	flags.StringVar(&o.RootFS, "rootfs", "", "make the root file system of `oci-layout:DIR|tar:FILE|dir:DIR|REFERENCE`")
	flags.Var(&size, "rootfs-size", "the most that the root file system may take, such as 32G (default 16G)")
	return cmd
}

func (a *app) buildImage(cmd *cobra.Command, o image.Options) error {
	if o.Dir == "" {
		dir, err := imageDir()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
			return err
		}
		o.Dir = dir
	}
	o.Say = func(line string) { fmt.Fprintf(a.stderr, "glasshouse: %s\n", printable(line)) }
	ctx, stop := signal.NotifyContext(cmd.Context(), slices.DeleteFunc(slices.Clone(runSignals), signal.Ignored)...)
	defer stop()
	built, err := image.Build(ctx, o)
	if err != nil {
		return err
	}
	if built.UpToDate {
		return put(a.stdout, fmt.Sprintf("%s: up to date\n", printable(o.Dir)))
	}
	return put(a.stdout, fmt.Sprintf("built %s: kernel %s, rootfs %s %s\n",
		printable(o.Dir), built.KernelRelease, image.Size(built.Parts.RootFS.Size), built.RootFSType))
}

// imageDir is where an image is that was built without saying where.
func imageDir() (string, error) {
	state, err := stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(state, "image"), nil
}
