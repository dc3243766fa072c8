using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux;

/// <summary>
/// Adds to an eventfd from inside the kernel, as the end of an asynchronous read of nothing does (io_submit(2), IOCB_FLAG_RESFD). That
/// never waits, while write(2) waits if whoever shares the descriptor has filled the counter and made it block. Any thread.
/// </summary>
[Abi("linux/aio_abi.h")]
internal sealed unsafe partial class KernelSignal
{
    private const long NrSetup = 206;
    private const long NrGetEvents = 208;
    private const long NrSubmit = 209;

    private const ushort IOCB_CMD_PREAD = 0;
    private const uint IOCB_FLAG_RESFD = 1;
    private const int Slots = 64;
    private const int Attempts = 100;

    // A failure is not remembered: the host may have more to give later.
    private static readonly Lazy<KernelSignal> One = new(() => new KernelSignal(), LazyThreadSafetyMode.PublicationOnly);

    private readonly FileDescriptor _nothing = MemoryFile.Create("cnvm-signal", 0);
    private readonly ulong _context;

    private KernelSignal()
    {
        ulong context = 0;
        // SAFETY: the kernel fills one local.
        LinuxError.Check((nint)syscall(NrSetup, Slots, (nint)(&context), 0, 0, 0), "io_setup");
        _context = context;
    }

    /// <summary>The process has one, which ends with it.</summary>
    /// <exception cref="LinuxException">The host's kernel has no asynchronous I/O, or too much of it is in use (/proc/sys/fs/aio-max-nr).</exception>
    public static KernelSignal Instance => One.Value;

    /// <summary>Adds one to the counter; wakes whoever polls it.</summary>
    public void Send(int eventFd)
    {
        var request = new iocb
        {
            aio_lio_opcode = IOCB_CMD_PREAD, aio_fildes = (uint)_nothing.Value, aio_flags = IOCB_FLAG_RESFD, aio_resfd = (uint)eventFd,
        };
        iocb* requests = &request;
        io_event* done = stackalloc io_event[Slots];

        // Every request has ended when io_submit returns. There are slots for more threads than can be between the two calls; should they
        // run out, taking results makes room.
        for (int i = 0; i < Attempts; i++)
        {
            // SAFETY: the kernel reads one request, and writes at most as many results as there is room for, without waiting.
            long taken = syscall(NrSubmit, (nint)_context, 1, (nint)(&requests), 0, 0);
            _ = syscall(NrGetEvents, (nint)_context, 0, Slots, (nint)done, 0);
            if (taken == 1)
            {
                return;
            }
        }
    }

    // syscall is variadic in C; on x86-64 a variadic call passes integers as an ordinary one does.
    [LibraryImport("libc", SetLastError = true)]
    private static partial long syscall(long number, nint a, nint b, nint c, nint d, nint e);

    [Abi("linux/aio_abi.h", "struct iocb")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct iocb
    {
        public ulong aio_data;
        public uint aio_key;
        public int aio_rw_flags;
        public ushort aio_lio_opcode;
        public short aio_reqprio;
        public uint aio_fildes;
        public ulong aio_buf;
        public ulong aio_nbytes;
        public long aio_offset;
        public ulong aio_reserved2;
        public uint aio_flags;
        public uint aio_resfd;
    }

    [Abi("linux/aio_abi.h", "struct io_event")]
    [StructLayout(LayoutKind.Sequential)]
    internal struct io_event
    {
        public ulong data;
        public ulong obj;
        public long res;
        public long res2;
    }
}
