using System.Globalization;
using Cnvm.Api;
using Cnvm.Api.Registry;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;
using Cnvm.Sandbox.Machine;
using Cnvm.Sandbox.Networks;

namespace Cnvm.Cli.Commands;

/// <summary>
/// <c>cnvm __arrive NAME [disk:ID@FILE | file:FILE | tap:NAME | netns:PATH | folder:FOLDER | pod:BYTES,MAC@TAP | listen:URL | tls:FOLDER]...</c>: the far
/// side of <c>cnvm teleport</c>. Starts a VMM, in a network namespace if one is named, whose interfaces a pod's are joined to, and with its socket in a sandbox's folder; has it wait for a VM on
/// a socket of this user, or at a URL with certificates, and says on standard output which files are missing, which
/// TAP interfaces are in no bridge, where it waits, and in the end that the VM is here. The end of standard input before that ends it all, as far as
/// it still can be ended.
/// </summary>
internal static class ArriveCommand
{
    public const string Missing = "missing ";
    public const string Detached = "detached ";
    public const string Ready = "ready ";
    public const string Arrived = "arrived ";
    public const string Gone = "gone ";
    public const string DiskWord = "disk:";
    public const string FileWord = "file:";
    public const string TapWord = "tap:";
    public const string SpaceWord = "netns:";
    public const string FolderWord = "folder:";
    public const string PodWord = "pod:";
    public const string ListenWord = "listen:";
    public const string TlsWord = "tls:";
    private const string NamedSpaces = "/run/netns";
    private const int AskMilliseconds = 10;
    private const int EndMilliseconds = 10_000;
    private const int KillSignal = 9;

    public static int Run(Invocation invocation)
    {
        IReadOnlyList<string> words = invocation.Operands;
        string name = words.Count > 0 ? words[0] : throw CliException.Usage("NAME is missing");
        foreach (string file in Tails(words, FileWord).Where(f => !Path.Exists(f)))
        {
            Stdio.Print(Missing + file);
        }

        foreach (string tap in Tails(words, TapWord).Where(t => BridgePort.BridgeOf(t) is null))
        {
            Stdio.Print(Detached + tap);
        }

        string? space = Space(words);
        SandboxFolder? sandbox = Sandbox(words);
        using ArrivingNetwork? network = Join(space, sandbox, words);
        (string api, DetachedProcess process) = StartCommand.StartEmpty(name, sandbox?.ApiSocket, space);
        using DetachedProcess owned = process;
        WritePid(sandbox, process);
        string socket = Path.Combine(VmRegistry.Folder, name + ".in");
        byte[] request = JsonObject.Write(json =>
        {
            json.Text("receiver_url", Tails(words, ListenWord).FirstOrDefault() ?? $"unix:{socket}");
            json.Text("tls_dir", Tails(words, TlsWord).FirstOrDefault());
            json.Objects("disks", Tails(words, DiskWord), (item, word) =>
            {
                int at = word.IndexOf('@', StringComparison.Ordinal);
                item.Text("id", word[..Math.Max(at, 0)]);
                item.Text("path", word[(at + 1)..]);
            });
        });
        Exception? failure = null;
        var receiving = new Thread(() =>
        {
            try
            {
                using CnvmClient client = CnvmClient.Connect(api);
                client.Call("PUT", "vm.receive-migration", request);
            }
            catch (Exception e) when (e is ApiCallException or LinuxException)
            {
                failure = e;
            }
        })
        {
            IsBackground = true,
        };
        receiving.Start();
        while (!receiving.Join(AskMilliseconds) && !Listens(api))
        {
            // It begins to listen in a moment, or says why not.
        }

        bool wasReady = receiving.IsAlive;
        if (wasReady)
        {
            Stdio.Print(Ready + socket);
            new Thread(() => CancelAtEndOfInput(api, receiving)) { IsBackground = true }.Start();
            receiving.Join();
        }

        if (failure is not null)
        {
            ShutDown(api);
            // It answers before it has ended, and whoever tries again at once is to find the name free.
            if (Poll.Wait([new PollEntry { Fd = process.Fd, Events = PollEntry.In }], EndMilliseconds) > 0)
            {
                sandbox?.RemovePid();
            }

            if (!wasReady)
            {
                throw new CliException(ExitCode.Failure, failure.Message);
            }

            // The source has heard the reason, or only checks, and says so itself: people hear it once.
            Stdio.Print(Gone + failure.Message);
            return ExitCode.Failure;
        }

        Keep(network);
        using CnvmClient end = CnvmClient.Connect(api);
        Stdio.Print(Arrived + VmSummary.AskState(end));
        return ExitCode.Success;
    }

    /// <summary>Path of the network namespace that the VMM is to be in; null for this process's own.</summary>
    private static string? Space(IReadOnlyList<string> words)
    {
        if (Tails(words, SpaceWord).FirstOrDefault() is not { } name)
        {
            return null;
        }

        string path = name.Contains('/', StringComparison.Ordinal) ? name : $"{NamedSpaces}/{name}";
        return File.Exists(path) ? path : throw new CliException(ExitCode.Failure, $"there is no network namespace {path}: make it (ip netns add), or name another one");
    }

    /// <summary>The folder that a sandbox has here as where it comes from, so that it is a sandbox here; null for other VMs.</summary>
    private static SandboxFolder? Sandbox(IReadOnlyList<string> words)
    {
        if (Tails(words, FolderWord).FirstOrDefault() is not { } path)
        {
            return null;
        }

        if (!Directory.Exists(path))
        {
            throw new CliException(
                ExitCode.Failure, $"there is no folder {path}, which the sandbox has where it comes from: make it (mode 700), with what is in its 'shared'");
        }

        // Another VMM there would take this one's calls, and its end.
        SandboxFolder folder = SandboxFolder.Of(path);
        return UnixListener.Obstacle(folder.ApiSocket) is { } problem
            ? throw new CliException(ExitCode.Failure, $"the sandbox's folder {folder.Path} is in use here: {problem}")
            : folder;
    }

    /// <summary>Says in the folder whose VMM it is, for whoever cleans up, also after this process was killed.</summary>
    private static void WritePid(SandboxFolder? folder, DetachedProcess vmm)
    {
        try
        {
            folder?.WritePid(vmm.Id);
        }
        catch
        {
            vmm.Signal(KillSignal);
            throw;
        }
    }

    /// <summary>The interfaces of a pod's guest, and those of the namespace that they are joined to; null for others.</summary>
    private static ArrivingNetwork? Join(string? space, SandboxFolder? sandbox, IReadOnlyList<string> words)
    {
        List<ArrivingTap> taps = Tails(words, PodWord).ConvertAll(w =>
        {
            int comma = w.IndexOf(',', StringComparison.Ordinal);
            int at = w.IndexOf('@', StringComparison.Ordinal);
            return comma > 0 && at > comma && uint.TryParse(w.AsSpan(0, comma), NumberStyles.None, CultureInfo.InvariantCulture, out uint bytes)
                ? new ArrivingTap(w[(at + 1)..], bytes, w[(comma + 1)..at])
                : throw CliException.Usage($"'{PodWord}{w}' is not {PodWord}BYTES,MAC@TAP: is cnvm of another version at the other end?");
        });
        if (taps.Count == 0)
        {
            return null;
        }

        return ArrivingNetwork.Start(
            space ?? throw CliException.Usage($"{SpaceWord} is missing"),
            sandbox ?? throw new CliException(ExitCode.Failure, $"{taps[0].Name} is the name of a pod's interface, and the VM has no sandbox's folder: give its interfaces other names"),
            taps);
    }

    private static void Keep(ArrivingNetwork? network)
    {
        try
        {
            network?.Keep();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The guest runs here and cannot go back.
            Stdio.Error($"cnvm: {e.Message}: the VM is here, and nobody reaches it");
        }
    }

    private static List<string> Tails(IReadOnlyList<string> words, string head) =>
        [.. words.Skip(1).Where(w => w.StartsWith(head, StringComparison.Ordinal)).Select(w => w[head.Length..])];

    private static bool Listens(string api)
    {
        try
        {
            using CnvmClient client = CnvmClient.Connect(api);
            _ = client.Migration();
            return true;
        }
        catch (Exception e) when (e is ApiCallException or LinuxException)
        {
            // Nobody has asked it to yet, or it was refused, which the other thread hears.
            return false;
        }
    }

    private static void ShutDown(string api)
    {
        try
        {
            using CnvmClient client = CnvmClient.Connect(api);
            client.ShutdownVmm();
        }
        catch (LinuxException)
        {
            // It has ended already, and that is the failure that people hear of.
            return;
        }
    }

    private static void CancelAtEndOfInput(string api, Thread receiving)
    {
        byte[] buffer = new byte[64];
        while (FileIo.Read(Stdio.Stdin, buffer) is var got && (got > 0 || got == -Errno.EAGAIN))
        {
            Poll.Wait([new PollEntry { Fd = Stdio.Stdin, Events = PollEntry.In }], -1);
        }

        try
        {
            using CnvmClient client = CnvmClient.Connect(api);
            client.Call("PUT", "vm.migration-cancel");
        }
        catch (Exception e) when (e is ApiCallException or LinuxException)
        {
            // The VM is here already, or it is over, and what receives it is just ending.
            if (!receiving.Join(EndMilliseconds))
            {
                Stdio.Error($"cnvm: not cancelled: {e.Message}");
            }
        }
    }
}
