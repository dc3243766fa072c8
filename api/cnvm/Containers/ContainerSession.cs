using System.Globalization;
using Cnvm.Api.Registry;
using Cnvm.Cli.Output;
using Cnvm.Sandbox;
using Cnvm.Sandbox.Images;

namespace Cnvm.Cli.Containers;

/// <summary>A container of <c>cnvm run</c>, from its image to its end, in the process that keeps it.</summary>
internal sealed class ContainerSession(RunSettings settings, ContainerFolder folder)
{
    private const int CannotRun = 126;
    private const int NotFound = 127;

    /// <summary>The folder of a container's sandbox.</summary>
    internal static string FolderOf(string name) => Path.Combine(VmRegistry.Folder, "sandboxes", name);

    /// <summary>Runs the container; returns its exit code.</summary>
    /// <param name="attend">What is done with its first process, before it starts; completes with the exit code.</param>
    /// <param name="started">Called when it runs.</param>
    /// <exception cref="IOException">The image, the sandbox or the container cannot be made.</exception>
    public async Task<int> RunAsync(Func<SandboxProcess, Task<int>> attend, Action started)
    {
        DateTimeOffset created = DateTimeOffset.UtcNow;
        ContainerImage image = await new ImageStore(settings.Store).OpenAsync(settings.Image).ConfigureAwait(false);
        if (settings.WritableRootfs && image.IsShared)
        {
            throw CliException.Usage("--rw-rootfs writes to the folder that the image is: an image of the store is everybody's; unpack it, and give the folder");
        }

        ProcessOptions process = Process(image.Config);
        List<ContainerVolume> volumes = Volumes();
        SandboxOptions options = Options(image, volumes);
        if (settings.Templates is not null)
        {
            options = options with { Template = await new TemplateStore(settings.Templates).OpenAsync(options).ConfigureAwait(false) };
        }

        await using SandboxVm sandbox = await SandboxVm.StartAsync(options).ConfigureAwait(false);
        var state = new ContainerState
        {
            Image = settings.Image, Command = process.Arguments, Created = created, Pid = Environment.ProcessId, Sandbox = sandbox.Folder, Rootfs = image.Rootfs,
            StopSignal = image.Config.StopSignal.Length == 0 ? SignalName.Terminate : SignalName.Parse(image.Config.StopSignal) ?? SignalName.Terminate,
            Environment = process.Environment, WorkingDirectory = process.WorkingDirectory, User = process.User,
        };
        folder.Write(state);
        Container container = await sandbox.CreateContainerAsync(
            settings.Name,
            new ContainerOptions(new ContainerRootfs(image.Rootfs, settings.WritableRootfs ? RootfsAccess.ReadWrite : RootfsAccess.Overlay), process)
            {
                Volumes = volumes, Hostname = settings.Name, Privileged = settings.Privileged,
            }).ConfigureAwait(false);
        try
        {
            await container.StartAsync().ConfigureAwait(false);
        }
        catch (SandboxException e) when (ExitCodeOf(e) is { } code)
        {
            Stdio.Error($"cnvm: run: {e.Message}");
            folder.Write(state with { ExitCode = code, Ended = DateTimeOffset.UtcNow });
            return code;
        }

        Task<int> attending = attend(container.Process);
        started();
        int exitCode = await attending.ConfigureAwait(false);
        folder.Write(state with { ExitCode = exitCode, Ended = DateTimeOffset.UtcNow });
        return exitCode;
    }

    /// <summary>What shells say of a program that is not there, or cannot be run; null for other failures.</summary>
    internal static int? ExitCodeOf(SandboxException e) => e.Kind switch
    {
        SandboxErrorKind.Gone or SandboxErrorKind.TimedOut or SandboxErrorKind.Host => null,
        _ when e.Message.Contains("No such file", StringComparison.OrdinalIgnoreCase) || e.Message.Contains("ENOENT", StringComparison.Ordinal)
            || e.Message.Contains("not found", StringComparison.OrdinalIgnoreCase) => NotFound,
        _ when e.Message.Contains("ermission denied", StringComparison.Ordinal) || e.Message.Contains("Exec format", StringComparison.OrdinalIgnoreCase)
            || e.Message.Contains("Is a directory", StringComparison.OrdinalIgnoreCase) => CannotRun,
        _ => null,
    };

    private ProcessOptions Process(ImageConfig config)
    {
        // A folder has no entry point, and says nothing of a command: a shell is what one wants there.
        List<string> arguments = [.. settings.Entrypoint is { } entry ? (entry.Length > 0 ? [entry] : (string[])[]) : config.Entrypoint];
        arguments.AddRange(settings.Command.Count > 0 || settings.Entrypoint is not null ? settings.Command : config.Command);
        return new ProcessOptions(arguments.Count > 0 ? arguments : ["/bin/sh"])
        {
            Environment = [.. config.Environment, .. settings.Environment],
            WorkingDirectory = settings.WorkingDirectory ?? config.WorkingDirectory,
            User = settings.User ?? config.User,
            Terminal = settings.Terminal,
        };
    }

    private SandboxOptions Options(ContainerImage image, List<ContainerVolume> volumes)
    {
        List<SharedFolder> folders = [new SharedFolder(image.Rootfs, ReadOnly: !settings.WritableRootfs)];
        foreach (ContainerVolume volume in volumes)
        {
            if (Directory.Exists(volume.HostPath) && !folders.Exists(f => f.Path == volume.HostPath))
            {
                folders.Add(new SharedFolder(volume.HostPath, volumes.TrueForAll(v => v.HostPath != volume.HostPath || v.ReadOnly)));
            }
        }

        return new SandboxOptions
        {
            Name = settings.Name, VmmPath = VmmProgram.Find(), Kernel = settings.Kernel, Initramfs = settings.Initramfs, Hypervisor = settings.Hypervisor,
            Cpus = settings.Cpus, MemoryBytes = settings.MemoryBytes, Folders = folders, Network = Network(),
            Folder = FolderOf(settings.Name),
        };
    }

    private SandboxNetwork Network()
    {
        if (settings.Network == "none" && settings.Ports.Count == 0)
        {
            return SandboxNetwork.None;
        }

        var ports = new List<PortMapping>();
        foreach (string text in settings.Ports)
        {
            ports.Add(ParsePort(text));
        }

        return new SandboxNetwork.Passt(ports);
    }

    /// <exception cref="CliException">It is none.</exception>
    internal static PortMapping ParsePort(string text)
    {
        bool udp = text.EndsWith("/udp", StringComparison.Ordinal);
        string[] numbers = (udp || text.EndsWith("/tcp", StringComparison.Ordinal) ? text[..^4] : text).Split(':');
        return numbers.Length == 2 && IsPort(numbers[0], out int host) && IsPort(numbers[1], out int guest)
            ? new PortMapping(host, guest, udp)
            : throw CliException.Usage($"--publish: '{text}' is not HOST:GUEST, two ports such as 8080:80, or 5353:53/udp");

        static bool IsPort(string number, out int port) =>
            int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port is > 0 and < 65536;
    }

    /// <exception cref="CliException">It is none.</exception>
    internal static ContainerVolume ParseVolume(string text)
    {
        string[] parts = text.Split(':');
        bool isReadOnly = parts.Length == 3 && parts[2] is "ro";
        return (parts.Length == 2 || (parts.Length == 3 && parts[2] is "ro" or "rw")) && parts[0].Length > 0 && parts[1].StartsWith('/')
            ? new ContainerVolume(Path.GetFullPath(parts[0]), parts[1], isReadOnly)
            : throw CliException.Usage($"--volume: '{text}' is not HOST:GUEST or HOST:GUEST:ro, where GUEST is an absolute path in the container");
    }

    private List<ContainerVolume> Volumes()
    {
        var volumes = new List<ContainerVolume>();
        foreach (string text in settings.Volumes)
        {
            volumes.Add(ParseVolume(text));
        }

        return volumes;
    }
}
