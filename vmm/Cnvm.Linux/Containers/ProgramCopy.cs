namespace Cnvm.Linux;

/// <summary>
/// A copy of this program in memory that nobody can change. What runs in a container can reach the file behind its ancestors'
/// <c>/proc/PID/exe</c>; were that the program's own file, it could write the one that the next process is started from.
/// </summary>
public sealed class ProgramCopy : IDisposable
{
    private const int Sealed = Libc.F_SEAL_SEAL | Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW | Libc.F_SEAL_WRITE;
    private readonly FileDescriptor _fd;

    /// <exception cref="LinuxException">There is no memory, or no /proc.</exception>
    public ProgramCopy()
    {
        using var made = new FileDescriptor(LinuxError.Check(Libc.memfd_create("cnvm-agent", Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING), "memfd_create"));
        _fd = new FileDescriptor(LinuxError.Check(Libc.fcntl(made.Value, Libc.F_DUPFD_CLOEXEC, Children.MostDescriptors), "duplicate a descriptor"));
        try
        {
            using var own = new FileDescriptor(LinuxError.Check(Libc.open("/proc/self/exe", Libc.O_RDONLY | Libc.O_CLOEXEC, 0), "open /proc/self/exe"));
            byte[] block = new byte[1 << 16];
            int read;
            while ((read = FileIo.Read(own.Value, block)) > 0)
            {
                for (int done = 0; done < read;)
                {
                    int written = FileIo.Write(_fd.Value, block.AsSpan(done, read - done));
                    done += written > 0 ? written : throw new LinuxException("copy the program", -written);
                }
            }

            if (read < 0)
            {
                throw new LinuxException("read the program", -read);
            }

            LinuxError.Check(Libc.fcntl(_fd.Value, Libc.F_ADD_SEALS, Sealed), "seal the copy of the program");
        }
        catch
        {
            _fd.Dispose();
            throw;
        }
    }

    /// <summary>Where a child that is being started finds it.</summary>
    public string Path => $"/proc/self/fd/{_fd.Value}";

    public void Dispose() => _fd.Dispose();
}
