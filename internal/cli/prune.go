package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"glasshouse/store"
)

func (a *app) pruneCommand() *cobra.Command {
	var keep []string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "prune --keep N|AGE [flags]",
		Short: "Remove old receipts from the history",
		Long: `Remove the receipts that glasshouse run kept in the state folder, but for those
that --keep names: the newest N, or those of runs that are younger than an AGE
such as 12h, 30d or 8w. With several a receipt stays if one of them keeps it.

Nothing is asked. A line tells of each receipt that is removed. Its signature
and all that the index knows of it go with it; a copy elsewhere, such as
receipt.json, stays.`,
		Example: `  glasshouse prune --keep 1000
  glasshouse prune --keep 100 --keep 30d --dry-run`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.prune(cmd, keep, dryRun)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringArrayVar(&keep, "keep", nil, "keep the newest N, or what is younger than AGE: `N|AGE`; may be repeated")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would be removed")
	return cmd
}

func (a *app) prune(cmd *cobra.Command, keep []string, dryRun bool) error {
	k, err := parseKeep(keep, time.Now())
	if err != nil {
		return usageError(cmd, err)
	}
	history, err := openStore()
	if err != nil {
		return err
	}
	pruned, pruneErr := history.Prune(cmd.Context(), k, dryRun)
	if pruneErr != nil && len(pruned.Removed)+pruned.Kept == 0 {
		return pruneErr // it is not known what is there
	}
	done := "removed"
	if dryRun {
		done = "would remove"
	}
	var b strings.Builder
	for _, e := range pruned.Removed {
		fmt.Fprintf(&b, "%s %s  %s\n", done, e.ID, clip(printable(e.Command), maxName))
	}
	fmt.Fprintf(&b, "%s %s, %d bytes; %d kept\n", done, count(len(pruned.Removed), "receipt", "receipts"), pruned.Bytes, pruned.Kept)
	if err := put(a.stdout, b.String()); err != nil {
		return err
	}
	return pruneErr
}

// parseKeep adds up what --keep was given: of each kind the most counts.
func parseKeep(list []string, now time.Time) (store.Keep, error) {
	var k store.Keep
	if len(list) == 0 {
		return k, errors.New("--keep is missing: the number of receipts to keep, or their greatest age")
	}
	for _, text := range list {
		if n, err := strconv.ParseUint(text, 10, 31); err == nil {
			k.Newest = max(k.Newest, int(n))
			continue
		}
		age, err := span(text)
		if err != nil {
			return k, fmt.Errorf("--keep %s: it must be a number such as 100, or an age such as 12h, 30d or 8w", text)
		}
		if since := now.Add(-age); k.Since.IsZero() || since.Before(k.Since) {
			k.Since = since
		}
	}
	return k, nil
}
