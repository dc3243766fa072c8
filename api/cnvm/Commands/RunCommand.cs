using System.Globalization;
using Cnvm.Api.Registry;
using Cnvm.Cli.Containers;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;
using Cnvm.Sandbox;
using Cnvm.Sandbox.Images;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm run</c>: an image as a VM.</summary>
internal static class RunCommand
{
    /// <summary>What docker ends with when it, and not the container, has failed.</summary>
    public const int OwnFailure = 125;

    private const string Started = "started";
    private const long DefaultMemory = 512L << 20;

    /// <summary>Most bytes that are kept of what a container in the background says.</summary>
    private const long OutputLimit = 16 << 20;

    private static readonly string[] Networks = ["none", "passt"];

    public static int Run(Invocation invocation)
    {
        RunSettings settings = Read(invocation);
        return Guard(() =>
        {
            if (ImageStore.IsRemote(settings.Image))
            {
                // Here, where its progress is seen: a container in the background finds it fetched.
                _ = new ImageStore(settings.Store).FetchAsync(settings.Image, invocation.Has("--pull")).GetAwaiter().GetResult();
            }

            var folder = new ContainerFolder(settings.Name);
            folder.Create();
            try
            {
                folder.Write(settings);

                // Before there is anything to clean up: whoever finds this without its process knows where to look.
                folder.Write(new ContainerState
                {
                    Image = settings.Image, Created = DateTimeOffset.UtcNow, Pid = Environment.ProcessId, Sandbox = ContainerSession.FolderOf(settings.Name),
                });
                return settings.Detached ? StartKeeper(folder, settings) : Attend(folder, settings);
            }
            catch
            {
                folder.Remove();
                throw;
            }
        });
    }

    /// <summary><c>cnvm __container NAME</c>: the process that keeps a container in the background.</summary>
    public static int Keep(Invocation invocation) => Guard(() => KeepInBackground(invocation));

    private static int KeepInBackground(Invocation invocation)
    {
        var folder = new ContainerFolder(invocation.Operands[0]);
        RunSettings settings = folder.ReadSettings();
        using IDisposable own = folder.Own();
        int exitCode;
        using (var log = new TailFile(folder.OutputLog, OutputLimit, keep: true))
        {
            exitCode = new ContainerSession(settings, folder).RunAsync(
                async process =>
                {
                    await process.StandardInput.DisposeAsync().ConfigureAwait(false);
                    await Task.WhenAll(CopyAsync(process.StandardOutput, log), CopyAsync(process.StandardError, log)).ConfigureAwait(false);
                    return await process.WaitAsync().ConfigureAwait(false);
                },
                () => Stdio.Print(Started)).GetAwaiter().GetResult();
        }

        if (settings.Remove)
        {
            folder.Remove();
        }

        return exitCode;
    }

    /// <summary>Carries a command about containers out; its own failures have an exit code that no container's are mistaken for.</summary>
    internal static int Guard(Func<int> run)
    {
        try
        {
            return run();
        }
        catch (CliException e) when (e.ExitCode == ExitCode.Failure)
        {
            throw new CliException(OwnFailure, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CliException(OwnFailure, e.Message);
        }
    }

    private static int Attend(ContainerFolder folder, RunSettings settings)
    {
        using IDisposable own = folder.Own();
        int exitCode = new ContainerSession(settings, folder)
            .RunAsync(process => new ProcessTerminal(process, settings.Interactive).RunAsync(), static () => { }).GetAwaiter().GetResult();

        // What it said has been seen.
        folder.Remove();
        return exitCode;
    }

    private static int StartKeeper(ContainerFolder folder, RunSettings settings)
    {
        using FileStream log = new(folder.KeeperLog, FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite);
        using var pipe = new System.IO.Pipes.AnonymousPipeServerStream(System.IO.Pipes.PipeDirection.In, HandleInheritability.None);
        string program = Environment.ProcessPath ?? throw new CliException(ExitCode.Failure, "this program does not know where it is");
        using DetachedProcess keeper = DetachedProcess.Start(
            program,
            [program, KeeperName, settings.Name],
            (int)pipe.ClientSafePipeHandle.DangerousGetHandle(),
            (int)log.SafeFileHandle.DangerousGetHandle());
        pipe.DisposeLocalCopyOfClientHandle();
        using var reader = new StreamReader(pipe);
        if (reader.ReadLine() != Started)
        {
            Poll.Wait([new PollEntry { Fd = keeper.Fd, Events = PollEntry.In }], -1);
            int exitCode = keeper.ExitCode() ?? OwnFailure;
            log.Position = 0;
            Stdio.Error(new StreamReader(log).ReadToEnd().Trim());
            folder.Remove();
            return exitCode == 0 ? OwnFailure : exitCode;
        }

        Stdio.Print(settings.Name);
        return ExitCode.Success;
    }

    public const string KeeperName = "__container";

    private static async Task CopyAsync(Stream from, TailFile to)
    {
        byte[] buffer = new byte[64 << 10];
        bool hasFailed = false;
        int count;
        while ((count = await from.ReadAsync(buffer).ConfigureAwait(false)) > 0)
        {
            try
            {
                lock (to)
                {
                    to.Append(buffer.AsSpan(0, count));
                }
            }
            catch (IOException e) when (!hasFailed)
            {
                // A full disk costs output, and not the container, which would wait for ever for somebody to read it.
                hasFailed = true;
                Stdio.Error($"cnvm: run: the container's output is not kept: {e.Message}");
            }
            catch (IOException)
            {
                // Said already; there may be room again later.
                continue;
            }
        }
    }

    /// <exception cref="CliException">The options are wrong, or contradict each other.</exception>
    private static RunSettings Read(Invocation invocation)
    {
        if (invocation.Operands.Count == 0)
        {
            throw CliException.Usage($"IMAGE is missing; usage: cnvm {invocation.Command!.Usage}");
        }

        bool detached = invocation.Has("--detach");
        bool terminal = invocation.Has("--tty");
        bool interactive = invocation.Has("--interactive");
        if (detached && (terminal || interactive))
        {
            throw CliException.Usage("--detach has nobody who types: leave --interactive and --tty out, and reach the container with cnvm exec -it");
        }

        string network = invocation.Value("--network") ?? (invocation.Values("--publish").Count > 0 ? "passt" : "none");
        if (!Networks.Contains(network))
        {
            throw CliException.Usage($"--network: '{network}' is not one of {string.Join(", ", Networks)}");
        }

        if (network == "none" && invocation.Values("--publish").Count > 0)
        {
            throw CliException.Usage("--publish needs a network: leave --network none out");
        }

        if (network != "none" && invocation.Value("--template") is not null)
        {
            throw CliException.Usage("--template: a VM that goes on from a template has no network: leave --template out, or --network and --publish");
        }

        foreach (string port in invocation.Values("--publish"))
        {
            _ = ContainerSession.ParsePort(port);
        }

        if (invocation.Has("--pull") && !ImageStore.IsRemote(invocation.Operands[0]))
        {
            throw CliException.Usage($"--pull: {invocation.Operands[0]} is taken from this machine as it is; what is fetched begins with docker://");
        }

        string hypervisor = invocation.Value(HostQuery.Hypervisor.Name) ?? "auto";
        if (!HostQuery.Hypervisor.Choices.Contains(hypervisor))
        {
            throw CliException.Usage($"{HostQuery.Hypervisor.Name}: '{hypervisor}' is not one of {string.Join(", ", HostQuery.Hypervisor.Choices)}");
        }

        return new RunSettings
        {
            Name = NameOf(invocation),
            Image = Absolute(invocation.Operands[0]),
            Entrypoint = invocation.Value("--entrypoint"),
            Command = [.. invocation.Operands.Skip(1)],
            Interactive = interactive,
            Terminal = terminal,
            Detached = detached,
            Remove = invocation.Has("--rm"),
            Volumes = [.. invocation.Values("--volume").Select(ContainerSession.ParseVolume).Select(v => $"{v.HostPath}:{v.GuestPath}{(v.ReadOnly ? ":ro" : "")}")],
            Environment = Variables(invocation),
            WorkingDirectory = invocation.Value("--workdir"),
            User = invocation.Value("--user"),
            Ports = invocation.Values("--publish"),
            Network = network,
            MemoryBytes = (long)(invocation.Size("--memory") ?? (ulong)DefaultMemory),
            Cpus = Cpus(invocation),
            Hypervisor = hypervisor,
            Kernel = SandboxImages.Find(invocation.Value("--kernel"), SandboxImages.Kernel, "--kernel"),
            Initramfs = SandboxImages.Find(invocation.Value("--initramfs"), SandboxImages.Initramfs, "--initramfs"),
            Store = invocation.Value("--store") is { } store ? Path.GetFullPath(store) : ImageStore.DefaultFolder,
            Templates = invocation.Value("--template") is { } templates ? Path.GetFullPath(templates) : null,
            WritableRootfs = invocation.Has("--rw-rootfs"),
            Privileged = invocation.Has("--privileged"),
        };
    }

    private static string NameOf(Invocation invocation)
    {
        if (invocation.Value("--name") is { } name)
        {
            return VmRegistry.IsValidName(name)
                ? name
                : throw CliException.Usage(
                    $"--name: '{name}' is no name: it has 1 to {VmRegistry.MaxNameLength} letters, digits, dots, dashes and underscores, and starts with a letter or digit");
        }

        HashSet<string> taken = [.. VmRegistry.List().Select(e => e.Name)];
        for (int i = 1; ; i++)
        {
            string candidate = string.Create(CultureInfo.InvariantCulture, $"c{i}");
            if (!taken.Contains(candidate) && !ContainerFolder.Exists(candidate))
            {
                return candidate;
            }
        }
    }

    /// <summary>A container in the background does not depend on where it was started from.</summary>
    private static string Absolute(string image)
    {
        if (ImageStore.IsRemote(image))
        {
            return image;
        }

        foreach (string kind in (ReadOnlySpan<string>)["oci:", "oci-archive:", "docker-archive:", "dir:"])
        {
            if (image.StartsWith(kind, StringComparison.Ordinal))
            {
                return kind + Path.GetFullPath(image[kind.Length..]);
            }
        }

        return Path.GetFullPath(image);
    }

    private static List<string> Variables(Invocation invocation)
    {
        var variables = new List<string>();
        foreach (string text in invocation.Values("--env"))
        {
            // NAME alone is this program's own.
            string variable = text.Contains('=', StringComparison.Ordinal) ? text : $"{text}={Environment.GetEnvironmentVariable(text)}";
            variables.Add(variable[0] != '=' ? variable : throw CliException.Usage($"--env: '{text}' is not NAME=VALUE"));
        }

        return variables;
    }

    private static int Cpus(Invocation invocation)
    {
        const int Most = 255;
        string text = invocation.Value("--cpus") ?? "1";
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int cpus) && cpus is > 0 and <= Most
            ? cpus
            : throw CliException.Usage($"--cpus: '{text}' is no number of processors from 1 to {Most}");
    }
}
