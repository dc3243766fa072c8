namespace Cnvm.Linux;

/// <summary>read(2) and write(2) on raw descriptors with spans.</summary>
public static unsafe class FileIo
{
    /// <summary>Bytes read, 0 at the end, or minus the error number (EINTR is retried).</summary>
    public static int Read(int fd, Span<byte> buffer)
    {
        // SAFETY: the kernel writes at most the span's length.
        fixed (byte* p = buffer)
        {
            nint n;
            do
            {
                n = Libc.read(fd, p, (nuint)buffer.Length);
            }
            while (n < 0 && LinuxError.Last == Errno.EINTR);

            return n < 0 ? -LinuxError.Last : (int)n;
        }
    }

    /// <summary>Bytes written, perhaps fewer than asked, or minus the error number (EINTR is retried).</summary>
    public static int Write(int fd, ReadOnlySpan<byte> buffer)
    {
        // SAFETY: the kernel reads at most the span's length.
        fixed (byte* p = buffer)
        {
            nint n;
            do
            {
                n = Libc.write(fd, p, (nuint)buffer.Length);
            }
            while (n < 0 && LinuxError.Last == Errno.EINTR);

            return n < 0 ? -LinuxError.Last : (int)n;
        }
    }
}
