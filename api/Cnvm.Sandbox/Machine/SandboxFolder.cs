using System.Globalization;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.Sandbox.Machine;

/// <summary>A sandbox's own folder on the host: sockets, logs, and what is shared with the guest.</summary>
internal sealed class SandboxFolder
{
    private const int MaxPathBytes = 90;
    private const int KillSignal = 9;
    private const int PatienceMilliseconds = 5000;
    private const string PidFile = "vmm.pid";

    private SandboxFolder(string path) => Path = path;

    public string Path { get; }

    public string ApiSocket => In("api.sock");

    public string VsockSocket => In("vsock.sock");

    public string PasstSocket => In("passt.sock");

    /// <summary>What the guest's kernel and agent say.</summary>
    public string ConsoleLog => In("console.log");

    /// <summary>What the VMM says.</summary>
    public string VmmLog => In("vmm.log");

    public string PasstLog => In("passt.log");

    /// <summary>The folder that the guest has as kataShared.</summary>
    public string Shared => In("shared");

    /// <summary>What a template's sandbox is restored from.</summary>
    public string Template => In("template");

    /// <exception cref="IOException">It is there already, or cannot be made.</exception>
    public static SandboxFolder Create(string path)
    {
        path = System.IO.Path.GetFullPath(path);
        if (Encoding.UTF8.GetByteCount(path) > MaxPathBytes)
        {
            throw new SandboxException(
                SandboxErrorKind.Invalid, $"the sandbox's folder {path} has a path of more than {MaxPathBytes} bytes: sockets lie in it, whose paths end at 107");
        }

        if (Directory.Exists(path) && Directory.EnumerateFileSystemEntries(path).Any())
        {
            throw new SandboxException(SandboxErrorKind.AlreadyExists, $"the sandbox's folder {path} is there already, and not empty");
        }

        const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        Directory.CreateDirectory(path, OwnerOnly);
        File.SetUnixFileMode(path, OwnerOnly);
        var folder = new SandboxFolder(path);
        Directory.CreateDirectory(folder.Shared, OwnerOnly);
        return folder;
    }

    /// <summary>The folder of a sandbox that lives, or has.</summary>
    public static SandboxFolder Of(string path) => new(System.IO.Path.GetFullPath(path));

    public void WritePid(int id) => File.WriteAllText(In(PidFile), id.ToString(CultureInfo.InvariantCulture));

    /// <summary>Kills the VMM that belongs to the folder, if there is one, whoever has started it.</summary>
    public void KillVmm()
    {
        string file = In(PidFile);
        if (!File.Exists(file) || !int.TryParse(File.ReadAllText(file), NumberStyles.None, CultureInfo.InvariantCulture, out int id))
        {
            return;
        }

        using DetachedProcess? process = DetachedProcess.TryOpen(id);

        // The number may be another program's by now: this one's command line names the folder. It is read when the process is held.
        if (process is not null && CommandLineOf(id).Contains(ApiSocket, StringComparison.Ordinal))
        {
            process.Signal(KillSignal);
            Poll.Wait([new PollEntry { Fd = process.Fd, Events = PollEntry.In }], PatienceMilliseconds);
        }
    }

    /// <summary>Removes the folder, and nothing that is only mounted there.</summary>
    /// <exception cref="IOException">It cannot be removed.</exception>
    public void Remove()
    {
        if (!Directory.Exists(Path))
        {
            return;
        }

        MountTable.UnmountBelow(Path);
        using (DirectoryTree tree = DirectoryTree.Open(Path))
        {
            tree.RemoveBelow("", static _ => false);
        }

        Directory.Delete(Path);
    }

    private static string CommandLineOf(int id)
    {
        try
        {
            return File.ReadAllText($"/proc/{id}/cmdline");
        }
        catch (IOException)
        {
            // It has just ended.
            return "";
        }
    }

    private string In(string name) => System.IO.Path.Combine(Path, name);
}
