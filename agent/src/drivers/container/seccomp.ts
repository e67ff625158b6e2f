import { constants } from "node:os";

/**
 * The system calls a sandbox may make: what ordinary programs use, without those that administer the kernel, load code
 * into it, change mounts, namespaces or clocks, or have been doors out of containers (io_uring, bpf, keyrings,
 * userfaultfd, perf events). A call that is not here does not exist for the program (ENOSYS), so that libraries take
 * their older way; the forbidden ones say EPERM.
 */
const allowed = `
_llseek _newselect accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
chown32 chroot clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr
flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64
futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_mempolicy get_robust_list
get_thread_area getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups
getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32
getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32
getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek
lsetxattr lstat lstat64 madvise map_shadow_stack mbind membarrier memfd_create mincore mkdir mkdirat mknod mknodat
mlock mlock2 mlockall mmap mmap2 modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock
munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc
pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease
process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read readahead
readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename
renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop
semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto set_mempolicy set_robust_list
set_thread_area set_tid_address setdomainname setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups
setgroups32 sethostname setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr shmat shmctl shmdt shmget
shutdown sigaction sigaltstack signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socketpair splice
stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid
write writev
`
  .trim()
  .split(/\s+/);

const forbidden = `
_sysctl acct add_key adjtimex afs_syscall bpf clock_adjtime clock_settime create_module delete_module fanotify_init
fanotify_mark finit_module fsconfig fsmount fsopen fspick get_kernel_syms getpmsg init_module io_uring_enter
io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie memfd_secret
migrate_pages mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree
perf_event_open pidfd_getfd pivot_root process_madvise putpmsg query_module quotactl quotactl_fd reboot request_key
security set_mempolicy_home_node setns settimeofday swapoff swapon sysfs syslog tuxcall umount2 unshare uselib
userfaultfd ustat vhangup vserver
`
  .trim()
  .split(/\s+/);

/** All CLONE_NEW* flags: a sandbox makes no namespaces, the largest kernel attack surface that an unprivileged user has. */
const NAMESPACE_FLAGS = 0x7e020000;
/** kernel crypto and host sockets: doors to the host that no script needs (39 lies between them) */
const AF_ALG = 38;
const AF_VSOCK = 40;
/** personality(2): query, default, and no address randomisation (used by debuggers) */
const PERSONALITIES = [0xffffffff, 0, 0x0040000, 0x0020000, 0x0020008, 8];

const arg = (index: number, value: number, op: string, valueTwo = 0) => ({ index, value, valueTwo, op });

/** The profile as the OCI runtime specification wants it (`linux.seccomp`). clone3 takes its flags by pointer and so must not exist. */
export function seccompProfile() {
  const allow = "SCMP_ACT_ALLOW";
  const { ENOSYS, EPERM } = constants.errno;
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: ENOSYS,
    architectures:
      process.arch === "arm64"
        ? ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
        : ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    syscalls: [
      { names: allowed, action: allow },
      { names: forbidden, action: "SCMP_ACT_ERRNO", errnoRet: EPERM },
      { names: ["clone"], action: allow, args: [arg(0, NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ")] },
      { names: ["socket"], action: allow, args: [arg(0, AF_ALG, "SCMP_CMP_LT")] },
      { names: ["socket"], action: allow, args: [arg(0, AF_VSOCK, "SCMP_CMP_GT")] },
      ...PERSONALITIES.map((value) => ({
        names: ["personality"],
        action: allow,
        args: [arg(0, value, "SCMP_CMP_EQ")],
      })),
    ],
  };
}
