using Microsoft.Win32.SafeHandles;

namespace Cnvm.Vmm.Consoles;

/// <summary>Guest output into a file; there is no input.</summary>
public sealed class FileConsole : HostConsole
{
    private readonly SafeFileHandle _file;
    private bool _failed;

    /// <param name="path">Created, or emptied if it exists.</param>
    /// <exception cref="IOException">The file cannot be created.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be written.</exception>
    public FileConsole(string path)
        : base("console-file") => _file = File.OpenHandle(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);

    protected override int InputFd => -1;

    protected override int OutputFd => _failed ? -1 : (int)_file.DangerousGetHandle();

    protected override bool LosesOutput => _failed;

    // A full disk must not stop the guest: what follows is dropped.
    protected override void OnOutputFailed() => _failed = true;

    protected override void OnInputEnd()
    {
    }

    protected override void Close() => _file.Dispose();
}
