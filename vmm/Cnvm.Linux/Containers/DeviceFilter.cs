using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>A program of the kernel (bpf(2)) that says which devices the processes of a control group (version 2) may use.</summary>
[Abi("linux/bpf.h")]
public sealed unsafe partial class DeviceFilter : IDisposable
{
    public const int BPF_DEVCG_ACC_MKNOD = 1;
    public const int BPF_DEVCG_ACC_READ = 2;
    public const int BPF_DEVCG_ACC_WRITE = 4;
    public const int BPF_DEVCG_DEV_BLOCK = 1;
    public const int BPF_DEVCG_DEV_CHAR = 2;

    private const long NrBpf = 321;
    private const int BPF_PROG_LOAD = 5;
    private const int BPF_PROG_ATTACH = 8;
    private const uint BPF_PROG_TYPE_CGROUP_DEVICE = 15;
    private const uint BPF_CGROUP_DEVICE = 6;
    private const uint BPF_F_ALLOW_MULTI = 2;
    private const uint BPF_F_REPLACE = 4;

    private readonly FileDescriptor _program;

    private DeviceFilter(FileDescriptor program) => _program = program;

    /// <summary>Has the kernel check and keep a program.</summary>
    /// <param name="instructions">struct bpf_insn each; the program sees a struct bpf_cgroup_dev_ctx and ends with 1 for yes or 0 for no.</param>
    /// <exception cref="LinuxException">The kernel has no such programs, or this process may not load any, or it is none.</exception>
    public static DeviceFilter Load(ReadOnlySpan<ulong> instructions)
    {
        fixed (ulong* program = instructions)
        fixed (byte* license = "Apache-2.0\0"u8)
        {
            var load = new bpf_load
            {
                prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                insn_cnt = (uint)instructions.Length,
                insns = (ulong)program,
                license = (ulong)license,
            };

            // SAFETY: the kernel reads the local, and what it points to, which is pinned.
            return new DeviceFilter(new FileDescriptor((int)LinuxError.Check((nint)bpf_load_call(NrBpf, BPF_PROG_LOAD, &load, sizeof(bpf_load)), "load a filter for devices")));
        }
    }

    /// <summary>Lets the program decide for a control group and those below it, beside what those above it have.</summary>
    /// <param name="folder">Descriptor of the group's folder.</param>
    /// <param name="former">The filter that this one replaces in the same group; null for none.</param>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void Attach(int folder, DeviceFilter? former)
    {
        var attach = new bpf_attach
        {
            target_fd = (uint)folder,
            attach_bpf_fd = (uint)_program.Value,
            attach_type = BPF_CGROUP_DEVICE,
            attach_flags = former is null ? BPF_F_ALLOW_MULTI : BPF_F_ALLOW_MULTI | BPF_F_REPLACE,
            replace_bpf_fd = former is null ? 0 : (uint)former._program.Value,
        };

        // SAFETY: the kernel reads a local.
        LinuxError.Check((nint)bpf_attach_call(NrBpf, BPF_PROG_ATTACH, &attach, sizeof(bpf_attach)), "attach a filter for devices");
    }

    /// <summary>Lets go of the program. Where it is attached it stays in force as long as the group is there.</summary>
    public void Dispose() => _program.Dispose();

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long bpf_load_call(long number, long command, bpf_load* attributes, long size);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial long bpf_attach_call(long number, long command, bpf_attach* attributes, long size);

    /// <summary>union bpf_attr as BPF_PROG_LOAD reads it, up to the name.</summary>
    [Abi("linux/bpf.h", "union bpf_attr", Prefix = true)]
    [StructLayout(LayoutKind.Sequential)]
    internal struct bpf_load
    {
        public uint prog_type;
        public uint insn_cnt;
        public ulong insns;
        public ulong license;
        public uint log_level;
        public uint log_size;
        public ulong log_buf;
        public uint kern_version;
        public uint prog_flags;
    }

    /// <summary>union bpf_attr as BPF_PROG_ATTACH reads it.</summary>
    [Abi("linux/bpf.h", "union bpf_attr", Prefix = true)]
    [StructLayout(LayoutKind.Sequential)]
    internal struct bpf_attach
    {
        public uint target_fd;
        public uint attach_bpf_fd;
        public uint attach_type;
        public uint attach_flags;
        public uint replace_bpf_fd;
    }
}
