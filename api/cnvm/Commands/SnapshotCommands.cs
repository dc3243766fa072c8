using Cnvm.Api;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Cpus;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Cli.Commands;

/// <summary>Commands about states, in snapshots on disk and of running VMs, and about snapshots.</summary>
internal static class SnapshotCommands
{
    private const string ThisHost = "host";
    private const string FileScheme = "file://";
    private const int MaxCapabilitiesBytes = 1 << 20;

    /// <summary><c>cnvm inspect</c>: everything that the state says, also what this program knows nothing of.</summary>
    public static int Inspect(Invocation invocation)
    {
        byte[] bytes = State(invocation, out string from, out _);
        StateNode state;
        try
        {
            state = StateNode.Parse(bytes);
        }
        catch (StateFormatException e)
        {
            throw new SnapshotException($"{from}: {e.Message}", e);
        }

        if (invocation.Json)
        {
            Stdio.Print(StateText.ToJson(state));
        }
        else
        {
            Stdio.Print(Printable.Lines(StateText.ToText(state)));
        }

        return ExitCode.Success;
    }

    /// <summary><c>cnvm check</c>: whether a host runs the guest.</summary>
    public static int Check(Invocation invocation)
    {
        byte[] bytes = State(invocation, out string from, out string? folder);
        MachineState guest;
        try
        {
            guest = StateReader.Read<MachineState>(bytes, MachineElements.Describe);
        }
        catch (StateFormatException e)
        {
            throw new SnapshotException($"{from}: {e.Message}", e);
        }

        string against = invocation.Value("--against") ?? ThisHost;
        if (against != ThisHost && invocation.Has(HostQuery.Hypervisor.Name))
        {
            throw CliException.Usage($"{HostQuery.Hypervisor.Name} is of this host; {against} says which hypervisor it describes");
        }

        HostCapabilities host = against == ThisHost
            ? Parse(HostQuery.Ask(invocation), VmmProgram.Name)
            : Parse(BoundedFile.Read(against, MaxCapabilitiesBytes), against);
        List<string> obstacles = [.. GuestContract.Obstacles(guest, host)];
        if (folder is not null && against == ThisHost)
        {
            // Another host's files are not here to be looked at.
            obstacles.AddRange(SnapshotObstacles.Find(folder, guest, Config(folder)));
        }

        if (invocation.Json)
        {
            Stdio.Print(JsonObject.Write(json =>
            {
                json.Toggle("runs", obstacles.Count == 0);
                json.Text("against", against);
                json.Text("hypervisor", host.Hypervisor);
                json.Texts("obstacles", obstacles);
            }));
        }
        else if (obstacles.Count == 0)
        {
            Stdio.Print($"yes: {Printable.Line(host.Hypervisor)} {Where(against)} runs the guest");
        }
        else
        {
            IEnumerable<string> lines = obstacles.Select(o => $"  {Printable.Line(o)}");
            Stdio.Print($"no: {Printable.Line(host.Hypervisor)} {Where(against)} does not run the guest\n{string.Join('\n', lines)}");
        }

        return obstacles.Count == 0 ? ExitCode.Success : ExitCode.Failure;
    }

    /// <summary><c>cnvm snapshot merge</c>.</summary>
    public static int Merge(Invocation invocation)
    {
        SnapshotMerge.Merge(Folder(invocation.Operands[0]), Folder(invocation.Operands[1]), Folder(invocation.Operands[2]));
        return ExitCode.Success;
    }

    /// <exception cref="CliException">It describes no host.</exception>
    public static HostCapabilities Parse(byte[] capabilities, string from)
    {
        try
        {
            return HostCapabilitiesFile.Read(capabilities);
        }
        catch (StateFormatException e)
        {
            throw new CliException(ExitCode.Failure, $"{from}: {e.Message}");
        }
    }

    /// <exception cref="SnapshotException">There is none.</exception>
    private static VmConfig Config(string folder)
    {
        byte[] json = SnapshotFolder.ReadConfig(folder);
        try
        {
            return new VmConfigCodec().Read(json);
        }
        catch (VmmException e)
        {
            throw new SnapshotException($"{Path.Combine(folder, SnapshotFiles.Config)} is no VM's configuration: {e.Message}", e);
        }
    }

    /// <summary>The state of a running VM, or that in a snapshot's folder, which comes first where both have the name.</summary>
    /// <param name="folder">The snapshot's; null if it is a VM's.</param>
    private static byte[] State(Invocation invocation, out string from, out string? folder)
    {
        string operand = invocation.Operands[0];
        folder = Folder(operand);
        if (Directory.Exists(folder) || operand.StartsWith(FileScheme, StringComparison.Ordinal))
        {
            from = Path.Combine(folder, SnapshotFiles.State);
            return SnapshotFolder.ReadStateBytes(folder);
        }

        folder = null;
        VmTarget target = Vm(operand);
        from = target.Display;
        using CnvmClient client = target.Connect();
        return SnapshotFolder.StateBytes(client.Call("GET", "vm.state"), from);
    }

    /// <summary>Who mistook a path is not helped by hearing that no VMM answers there.</summary>
    /// <exception cref="CliException">There is no such VM.</exception>
    private static VmTarget Vm(string operand)
    {
        if (File.Exists(operand) && UnixStream.Obstacle(operand) is not null)
        {
            string folder = Path.GetDirectoryName(operand) is { Length: > 0 } parent ? parent : ".";
            throw new CliException(ExitCode.Failure, $"{operand} is a file: name the snapshot's folder, {folder}");
        }

        if (operand.Contains('/', StringComparison.Ordinal) && UnixStream.Obstacle(operand) is not null)
        {
            throw new CliException(ExitCode.Failure, $"there is neither a snapshot's folder nor a VM's socket {operand}");
        }

        try
        {
            return VmTarget.Named(operand);
        }
        catch (CliException e) when (e.ExitCode == ExitCode.NoSuchVm)
        {
            throw new CliException(e.ExitCode, $"{e.Message}; and there is no folder {operand}");
        }
    }

    private static string Where(string against) => against == ThisHost ? "on this host" : $"as {against} describes it";

    /// <summary>A folder as the other commands name it too, by a URL.</summary>
    private static string Folder(string operand) =>
        operand.StartsWith(FileScheme, StringComparison.Ordinal) ? SnapshotFiles.FolderOf(operand, "folder") : operand;
}
