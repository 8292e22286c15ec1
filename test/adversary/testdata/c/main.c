#include "deed.h"

static struct {
	const char *name;
	workload_fn *fn;
} all[256];
static int count;
char program[4096];

void workload(const char *name, workload_fn *fn)
{
	all[count].name = name;
	all[count++].fn = fn;
}

int main(int argc, char **argv)
{
	/* An image may have no argument of its own to go by. */
	char *name = getenv("WORKLOAD");
	int i;

	alarm(120); /* a workload that hangs fails */
	must(readlink("/proc/self/exe", program, sizeof(program) - 1));
	if (!name) {
		argc--;
		argv++;
		name = argc > 0 ? argv[0] : "";
	}
	for (i = 0; i < count; i++) {
		if (strcmp(all[i].name, name))
			continue;
		all[i].fn(argc, argv);
		myself();
		tell();
		_exit(0);
	}
	dprintf(2, "no workload %s\n", name);
	return 99;
}
