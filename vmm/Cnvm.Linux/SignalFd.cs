using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// A signalfd(2): signals arrive by reading instead of interrupting. They must be blocked in every thread
/// (<see cref="Signals.Block"/> before threads are made, since new ones inherit the mask).
/// </summary>
public sealed unsafe class SignalFd : IDisposable
{
    private readonly FileDescriptor _fd;

    public SignalFd(SignalSet signals) =>
        // SAFETY: the C library reads the set.
        _fd = new FileDescriptor(LinuxError.Check(Libc.signalfd(-1, &signals, Libc.SFD_CLOEXEC | Libc.SFD_NONBLOCK), "signalfd"));

    /// <summary>The raw descriptor, for epoll.</summary>
    public int Fd => _fd.Value;

    /// <summary>Takes one signal that has arrived; 0 if there is none.</summary>
    public int Read()
    {
        signalfd_siginfo info;
        // SAFETY: the kernel writes one whole record to a local.
        return Libc.read(_fd.Value, &info, (nuint)sizeof(signalfd_siginfo)) == sizeof(signalfd_siginfo) ? (int)info.ssi_signo : 0;
    }

    public void Dispose() => _fd.Dispose();

    [Abi("sys/signalfd.h", "struct signalfd_siginfo")]
    [StructLayout(LayoutKind.Explicit, Size = 128)]
    private struct signalfd_siginfo
    {
        [FieldOffset(0)] public uint ssi_signo;
    }
}
