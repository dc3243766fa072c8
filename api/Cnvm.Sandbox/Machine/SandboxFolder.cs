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
    private const string SharedName = "shared";

    /// <summary>Most bytes that are kept of what the guest says on its console, and of what the VMM says.</summary>
    public const long LogLimit = 1 << 20;

    /// <summary>What a guest can put into the folder that it shares with the host, whose memory it is: names of containers and places for mounts need no more.</summary>
    private const string SharedLimits = "size=1m,nr_inodes=4096,mode=0700";

    private SandboxFolder(string path) => Path = path;

    public string Path { get; }

    public string ApiSocket => In("api.sock");

    public string VsockSocket => In("vsock.sock");

    /// <summary>What the guest's kernel and agent say.</summary>
    public string ConsoleLog => In("console.log");

    /// <summary>What the VMM says.</summary>
    public string VmmLog => In("vmm.log");

    /// <summary>The folder that the guest has as kataShared.</summary>
    public string Shared => In(SharedName);

    /// <summary>The guest must not write there: nothing limits what it would leave on the host, since this process may not mount.</summary>
    public bool SharedIsReadOnly { get; private init; }

    /// <summary>What the sandbox has made in its network namespace: path and identity of that, and numbers of interfaces with a queueing discipline.</summary>
    public string NetworkRecord => In("network");

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
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!, OwnerOnly);
        Directory.CreateDirectory(path, OwnerOnly);
        File.SetUnixFileMode(path, OwnerOnly);
        path = RealPath(path);
        string shared = System.IO.Path.Combine(path, SharedName);
        Directory.CreateDirectory(shared, OwnerOnly);
        return new SandboxFolder(path) { SharedIsReadOnly = !TryLimit(shared) };
    }

    /// <summary>The folder of a sandbox that lives, or has.</summary>
    public static SandboxFolder Of(string path) => new(Directory.Exists(path) ? RealPath(path) : System.IO.Path.GetFullPath(path));

    public void WritePid(int id) => File.WriteAllText(In(PidFile), id.ToString(CultureInfo.InvariantCulture));

    /// <summary>The VMM has ended, and the folder stays.</summary>
    public void RemovePid() => File.Delete(In(PidFile));

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

    /// <summary>The path without links, as the table of mounts has it.</summary>
    private static string RealPath(string path)
    {
        using DirectoryTree tree = DirectoryTree.Open(path);
        return tree.RealPath;
    }

    private static bool TryLimit(string shared)
    {
        try
        {
            Mounts.Mount("tmpfs", shared, "tmpfs", Mounts.MS_NOSUID | Mounts.MS_NODEV, SharedLimits);
            return true;
        }
        catch (LinuxException e) when (e.Errno is Errno.EPERM or Errno.EACCES)
        {
            // Not as an ordinary user, nor in every container.
            return false;
        }
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
