/* Files: what is made, moved, changed and taken away. */
#include "deed.h"
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* The folder has: sub/, file, link -> sub */

WORKLOAD(w_mkdir, "mkdir")
{
	int sub = must(open("sub", O_PATH | O_DIRECTORY));

	must(mkdir("plain///", 0755));
	deed("created", "dir plain lexical");
	must(mkdirat(sub, "./by-dirfd/.", 0755) == -1 && errno == ENOENT ? 0 : -1);
	deed("failed", "mkdir sub/by-dirfd ENOENT 1");
	must(mkdirat(sub, "../by-parent", 0755));
	deed("created", "dir by-parent lexical");
	must(mkdir("link/through-link", 0755));
	deed("created", "dir link/through-link lexical");
	must(fchdir(sub));
	must(mkdir("by-cwd", 0755));
	deed("created", "dir sub/by-cwd lexical");
	must_fail(mkdir("../plain", 0755), EEXIST);
	deed("failed", "mkdir plain EEXIST 1");
	must_fail(mkdir("", 0755), ENOENT);
	deed("failed", "mkdir  ENOENT 1");
	deed("writes", "plain");
	deed("writes", "by-parent");
	deed("writes", "link/through-link");
	deed("writes", "sub/by-cwd");
}

/* Opens that take a folder for the root folder, with names that are not there. */
WORKLOAD(w_in_root, "in-root")
{
	struct { uint64_t flags, mode, resolve; } how = { O_RDONLY, 0, 0x10 /* RESOLVE_IN_ROOT */ };
	int sub = must(open("sub", O_PATH));

	must_fail(syscall(SYS_openat2, sub, "../none", &how, sizeof(how)), ENOENT);
	must_fail(syscall(SYS_openat2, sub, "/none", &how, sizeof(how)), ENOENT);
	must_fail(openat(sub, "../none", O_RDONLY), ENOENT);
	must_fail(syscall(SYS_openat2, AT_FDCWD, "/sub/nothing", &how, sizeof(how)), ENOENT);
	deed("failed", "open sub/none ENOENT 2");
	deed("failed", "open none ENOENT 1");
	deed("failed", "open sub/nothing ENOENT 1");
}

WORKLOAD(w_mknod, "mknod")
{
	umask(0777); /* the kind is not part of the mask */
	must(mknod("fifo", S_IFIFO | 0600, 0));
	deed("created", "fifo fifo lexical");
	must(mknod("socket", S_IFSOCK | 0600, 0));
	deed("created", "socket socket lexical");
	must(mknod("regular", S_IFREG | 0600, 0));
	deed("created", "file regular lexical");
	must(mknod("no-kind", 0600, 0));
	deed("created", "file no-kind lexical");
	must(mknod("null", S_IFCHR | 0600, makedev(1, 3)));
	deed("created", "device null lexical");
	must_fail(mknod("dir", S_IFDIR | 0600, 0), EPERM);
	deed("failed", "mknod dir EPERM 1");
	must_fail(mknod("fifo", S_IFIFO | 0600, 0), EEXIST);
	deed("failed", "mknod fifo EEXIST 1");
	deed("writes", "fifo");
	deed("writes", "socket");
	deed("writes", "regular");
	deed("writes", "no-kind");
	deed("writes", "null");
}

WORKLOAD(w_symlink, "symlink")
{
	char target[4096];

	must(symlink("any words, no path", "words"));
	deed("created", "symlink words -> any words, no path lexical");
	memset(target, 't', 4095);
	target[4095] = 0;
	/* File systems have limits of their own below that of a path. */
	if (symlink(target, "long")) {
		deed("failed", "symlink long > %s ENAMETOOLONG 1", brief(target));
	} else {
		deed("created", "symlink long -> %s lexical", brief(target));
		deed("writes", "long");
	}
	must_fail(symlink("", "empty"), ENOENT);
	deed("failed", "symlink empty ENOENT 1");
	deed("writes", "words");
}

WORKLOAD(w_link, "link")
{
	int cwd = must(open(".", O_PATH));

	must(link("file", "second"));
	deed("created", "hardlink second -> file lexical");
	must(linkat(cwd, "link", AT_FDCWD, "sub/third", 0)); /* the symbolic link itself */
	deed("created", "hardlink sub/third -> link lexical");
	must_fail(link("sub", "fourth"), EPERM);
	deed("failed", "link sub > fourth EPERM 1");
	must_fail(link("file", "second"), EEXIST);
	deed("failed", "link file > second EEXIST 1");
	deed("writes", "second");
	deed("writes", "sub/third");
}

WORKLOAD(w_tmpfile, "tmpfile")
{
	char path[64], thread[64];
	struct stat st;
	int fd = must(open("sub", O_TMPFILE | O_RDWR, 0600));

	must(fstat(fd, &st));
	write_all(fd, "nameless");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	deed("created", "file sub/#%lu kernel", st.st_ino);
	deed("created", "hardlink named -> sub/#%lu lexical", st.st_ino);
	must(linkat(fd, "", AT_FDCWD, "named-too", AT_EMPTY_PATH));
	deed("created", "hardlink named-too -> sub/#%lu lexical", st.st_ino);
	deed("bytes", "sub/#%lu 0 8", st.st_ino);
	deed("reads", "sub/#%lu", st.st_ino);
	deed("writes", "sub/#%lu", st.st_ino);
	deed("writes", "named");
	deed("writes", "named-too");
	/* Other names of the same door lead through links, and the receipt says what was passed. */
	snprintf(thread, sizeof(thread), "/proc/thread-self/fd/%d", fd);
	must(linkat(AT_FDCWD, thread, AT_FDCWD, "by-thread", AT_SYMLINK_FOLLOW));
	deed("created", "hardlink by-thread -> %s lexical", thread);
	deed("writes", "by-thread");
}

WORKLOAD(w_rename, "rename")
{
	int sub = must(open("sub", O_PATH));

	close(make("a", ""));
	close(make("b", ""));
	must(renameat2(AT_FDCWD, "a", sub, "../b", 2 /* RENAME_EXCHANGE */));
	deed("renames", "a > b");
	deed("renames", "b > a");
	must(renameat(AT_FDCWD, "a", sub, "a"));
	deed("renames", "a > sub/a");
	deed("deletes", "a");
	deed("writes", "sub/a");
	must(rename("sub", "moved")); /* and what lies in it */
	deed("renames", "sub > moved");
	deed("deletes", "sub");
	deed("writes", "moved");
	must(renameat(sub, "a", sub, "c"));
	deed("renames", "moved/a > moved/c");
	deed("deletes", "moved/a");
	deed("writes", "moved/c");
	must(rename("b", "b"));
	must_fail(rename("moved", "moved/inside"), EINVAL);
	deed("failed", "rename moved > moved/inside EINVAL 1");
	must_fail(renameat2(AT_FDCWD, "b", AT_FDCWD, "file", 1 /* RENAME_NOREPLACE */), EEXIST);
	deed("failed", "rename b > file EEXIST 1");
}

/* Two names of one file: the kernel does nothing, and says that it was done. */
WORKLOAD(w_rename_links, "rename-links")
{
	struct stat st;

	must(link("file", "other"));
	must(rename("file", "other"));
	must(lstat("file", &st));
	must(lstat("other", &st));
	deed("created", "hardlink other -> file lexical");
	deed("writes", "other");
	deed("doubtful", "renames");
	deed("doubtful", "deletes");
	deed("gaps", "links");
}

WORKLOAD(w_truncate, "truncate")
{
	int fd = make("opened", "0123456789");

	must(truncate("file", 3));
	deed("changed", "file size lexical");
	must(ftruncate(fd, 1 << 20));
	deed("changed", "opened size kernel");
	must(unlink("opened"));
	deed("deletes", "opened");
	must(ftruncate(fd, 0)); /* has no name any more */
	must_fail(truncate("sub", 0), EISDIR);
	deed("failed", "truncate sub EISDIR 1");
	must_fail(truncate("link/none", 0), ENOENT);
	deed("failed", "truncate link/none ENOENT 1");
	must_fail(ftruncate(fd, -1), EINVAL);
	deed("failed", "truncate opened EINVAL 1");
	deed("writes", "file");
}

/* Space that is given or taken without a change of size. */
WORKLOAD(w_fallocate, "fallocate")
{
	int fd = make("kept", "0123456789");

	must(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096));
	must(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 5));
	fd = make("grown", "0123456789");
	must(fallocate(fd, 0, 0, 4096));
	deed("changed", "grown size kernel");
}

WORKLOAD(w_chmod, "chmod")
{
	char path[64];
	int fd = must(open("file", O_RDONLY));

	deed("reads", "file");
	must(chmod("sub", 0700));
	deed("changed", "sub mode lexical");
	must(fchmod(fd, 0640));
	deed("changed", "file mode kernel");
	must(fchmodat(AT_FDCWD, "link", 0711, 0)); /* the folder that it leads to */
	deed("changed", "link mode lexical");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(chmod(path, 0600)); /* the file itself */
	must_fail(chmod("none", 0600), ENOENT);
	deed("failed", "chmod none ENOENT 1");
}

/* A name that stands for an open file stands for itself where links are not followed. */
WORKLOAD(w_nofollow, "nofollow")
{
	char path[64];
	int fd = must(open("file", O_RDONLY));
	struct timespec times[2] = {};

	deed("reads", "file");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(lchown(path, getuid(), getgid()));
	must(fchownat(AT_FDCWD, path, getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
	must(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
	deed("changed", "%s owner lexical", path);
	deed("changed", "%s times lexical", path);
}

WORKLOAD(w_chown, "chown")
{
	int fd = must(open("file", O_RDONLY)), path = must(open("sub", O_PATH));

	deed("reads", "file");
	must(chown("sub", 1, 1));
	deed("changed", "sub owner lexical");
	must(lchown("link", 1, 1));
	deed("changed", "link owner lexical");
	must(fchown(fd, 1, 1));
	deed("changed", "file owner kernel");
	must(fchownat(path, "", 2, 2, AT_EMPTY_PATH));
	deed("changed", "sub owner kernel");
	must_fail(fchown(path, 1, 1), EBADF); /* a descriptor of a path alone */
	deed("failed", "chown sub EBADF 1");
}

WORKLOAD(w_utimes, "utimes")
{
	struct timespec times[2] = {};
	int fd = must(open("file", O_RDONLY));

	deed("reads", "file");
	must(futimens(fd, times));
	deed("changed", "file times kernel");
	must(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
	deed("changed", "link times lexical");
	must_fail(utimensat(AT_FDCWD, "none", times, 0), ENOENT);
	deed("failed", "utimes none ENOENT 1");
}

WORKLOAD(w_xattr, "xattr")
{
	int fd = must(open("file", O_RDONLY));

	deed("reads", "file");
	must(fsetxattr(fd, "trusted.a", "1", 1, 0));
	must(fremovexattr(fd, "trusted.a"));
	deed("changed", "file xattr kernel");
	must(setxattr("sub", "trusted.a", "1", 1, 0));
	deed("changed", "sub xattr lexical");
	must(lsetxattr("link", "trusted.a", "1", 1, 0));
	deed("changed", "link xattr lexical");
	must_fail(removexattr("file", "trusted.b"), ENODATA);
	deed("failed", "xattr file ENODATA 1");
}

/* Flags of files, such as "append only", are set by ioctl. */
WORKLOAD(w_flags, "flags")
{
	int fd = must(open("file", O_RDONLY)), flags = 0;

	deed("reads", "file");
	if (ioctl(fd, 0x80086601 /* FS_IOC_GETFLAGS */, &flags) && errno == ENOTTY)
		return; /* a file system without such flags */
	flags ^= 0x80; /* FS_NOATIME_FL */
	if (ioctl(fd, 0x40086602 /* FS_IOC_SETFLAGS */, &flags))
		return;
	deed("changed", "file flags kernel");
}

WORKLOAD(w_mount, "mount")
{
	int in;

	must(unshare(CLONE_NEWNS));
	must(mount("none", "/", "", MS_REC | MS_PRIVATE, ""));
	deed("mounts", "mount / none");
	must(mount("words", "sub", "tmpfs", 0, ""));
	deed("mounts", "mount sub words");
	in = must(open("sub", O_PATH));
	close(must(openat(in, "inside", O_CREAT | O_WRONLY, 0600)));
	deed("created", "file sub/inside kernel");
	deed("writes", "sub/inside");
	must(mount("sub", "target", "", MS_BIND, ""));
	deed("mounts", "mount target sub");
	must(unlink("target/inside")); /* the same file by another mount */
	deed("deletes", "target/inside");
	must(umount2("target", MNT_DETACH));
	deed("mounts", "umount target");
	must_fail(umount("target"), EINVAL);
	deed("failed", "umount target EINVAL 1");
	must_fail(mount("none", "none", "tmpfs", 0, ""), ENOENT);
	deed("failed", "mount none > none ENOENT 1");
	deed("gaps", "mount_namespace");
	deed("gaps", "not_recorded unshare");
}

/* What is no longer mounted anywhere can still be worked in. */
WORKLOAD(w_detached, "detached")
{
	int in;

	must(unshare(CLONE_NEWNS));
	must(mount("none", "/", "", MS_REC | MS_PRIVATE, ""));
	must(mount("words", "sub", "tmpfs", 0, ""));
	in = must(open("sub", O_PATH));
	must(umount2("sub", MNT_DETACH));
	close(must(openat(in, "inside", O_CREAT | O_WRONLY, 0600)));
	must(unlinkat(in, "inside", 0));
	deed("mounts", "mount / none");
	deed("mounts", "mount sub words");
	deed("mounts", "umount sub");
	deed("gaps", "mount_namespace");
	deed("gaps", "not_recorded unshare");
	deed("gaps", "path_cut");
}
