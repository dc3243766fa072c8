using Cnvm.Linux;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Consoles;

/// <summary>Guest output into a file; there is no input.</summary>
public sealed class FileConsole : HostConsole
{
    private readonly SafeFileHandle _file;
    private readonly TailFile? _tail;
    private bool _failed;

    /// <param name="path">Created, or emptied if it exists.</param>
    /// <param name="limit">Most bytes that it has, after which the older half goes (at least <see cref="TailFile.LeastLimit"/>); null for no limit.</param>
    /// <exception cref="IOException">The file cannot be created.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public FileConsole(string path, ulong? limit = null)
        : base("console-file")
    {
        _tail = limit is { } most ? new TailFile(path, (long)Math.Min(most, long.MaxValue)) : null;
        _file = _tail?.Handle ?? File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
    }

    protected override int InputFd => -1;

    protected override int OutputFd => _failed ? -1 : (int)_file.DangerousGetHandle();

    protected override bool LosesOutput => _failed;

    protected override int WriteOutput(int fd, ReadOnlySpan<byte> data)
    {
        if (_tail is null)
        {
            return base.WriteOutput(fd, data);
        }

        try
        {
            _tail.Append(data);
            return data.Length;
        }
        catch (IOException)
        {
            // As write(2) says it of a file without a limit.
            return -Errno.ENOSPC;
        }
    }

    // A full disk must not stop the guest: what follows is dropped.
    protected override void OnOutputFailed() => _failed = true;

    protected override void OnInputEnd()
    {
    }

    protected override void Close()
    {
        _file.Dispose();
        _tail?.Dispose();
    }
}
