/* Names that are hard to tell, and paths that are too long. */
#include "deed.h"

WORKLOAD(w_names, "names")
{
	static const char *const odd[] = {
		"new\nline", "tab\tand \"quotes\"", "bad\xff\\byte", "back\\slash", " ", "-rf", "\xc3\xbc",
	};
	char longest[256];
	unsigned i;

	memset(longest, 'n', 255);
	longest[255] = 0;
	for (i = 0; i < 8; i++) {
		const char *name = i < 7 ? odd[i] : longest;

		close(make(name, ""));
		must(chmod(name, 0600));
		deed("changed", "%s mode lexical", name);
		must(rename(name, "moved"));
		deed("renames", "%s > moved", name);
		deed("deletes", "%s", name);
		must(symlink(name, "link"));
		deed("created", "symlink link -> %s lexical", name);
		must(unlink("link"));
		must(mkdir(name, 0));
		must(rmdir(name));
		must_fail(open(name, O_RDONLY), ENOENT);
		deed("created", "dir %s lexical", name);
		deed("failed", "open %s ENOENT 1", name);
	}
	deed("writes", "moved");
	deed("writes", "link");
	deed("deletes", "link");
	must_fail(open("", O_RDONLY), ENOENT);
	deed("failed", "open  ENOENT 1");
}

/* Goes down n folders with names of that length, and works on a file there. */
static void deep(int n, int length)
{
	char name[256], *path = calloc(n + 1, length + 1);
	int i;

	memset(name, 'd', length);
	name[length] = 0;
	for (i = 0; i < n; i++) {
		must(mkdir(name, 0700));
		strcat(path, name);
		deed("created", "dir %s lexical", brief(path));
		deed("writes", "%s", brief(path));
		strcat(path, "/");
		must(chdir(name));
	}
	strcat(path, "f");
	close(must(open("f", O_CREAT | O_WRONLY, 0600)));
	must(chmod("f", 0640));
	must(unlink("f"));
	deed("created", "file %s kernel", brief(path));
	deed("writes", "%s", brief(path));
	deed("changed", "%s mode lexical", brief(path));
	deed("deletes", "%s", brief(path));
}

WORKLOAD(w_deep, "deep-300")
{
	deep(300, 1);
}

WORKLOAD(w_long, "path-6000")
{
	deep(30, 200);
}

/* Longer than is walked: what is not known whole stands in no list, and that is said. */
static void too_deep(void)
{
	deed("partial", "created");
	deed("partial", "writes");
	deed("partial", "changed");
	deed("partial", "deletes");
	deed("gaps", "path_cut");
}

WORKLOAD(w_too_deep, "deep-600")
{
	deep(600, 1);
	too_deep();
}

WORKLOAD(w_too_long, "path-12000")
{
	deep(60, 200);
	too_deep();
}

/* A name longer than a path may be never gets anywhere. */
WORKLOAD(w_long_name, "name-5000")
{
	char name[5001];
	int i;

	for (i = 0; i < 5000; i++)
		name[i] = i % 2 ? '/' : 'd';
	name[5000] = 0;
	must_fail(open(name, O_RDONLY), ENAMETOOLONG);
	name[4095] = 0; /* as much as is kept of it */
	deed("failed", "open %s ENAMETOOLONG 1 cut", brief(name));
}

WORKLOAD(w_cwd_gone, "cwd-gone")
{
	must(mkdir("gone", 0700));
	must(chdir("gone"));
	must(rmdir("../gone"));
	must_fail(open("f", O_CREAT | O_WRONLY, 0600), ENOENT);
	must_fail(mkdir("d", 0700), ENOENT);
	close(must(open("../after", O_CREAT | O_WRONLY, 0600)));
	deed("created", "dir gone lexical");
	deed("writes", "gone");
	deed("deletes", "gone");
	deed("failed", "open gone/f ENOENT 1");
	deed("failed", "mkdir gone/d ENOENT 1");
	deed("created", "file after kernel");
	deed("writes", "after");
}
