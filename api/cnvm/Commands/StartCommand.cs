using System.Diagnostics;
using System.Globalization;
using System.Text;
using Cnvm.Api;
using Cnvm.Api.Registry;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.CommandLine;
using Cnvm.Linux;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm start</c>: a VMM in the background.</summary>
internal static class StartCommand
{
    private const int AskMilliseconds = 10;
    private static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(30);

    public static int Run(Invocation invocation)
    {
        string name = ChooseName(invocation);
        TimeSpan timeout = invocation.Duration("--timeout") ?? DefaultTimeout;
        string socket = invocation.ApiSocket ?? VmRegistry.SocketPathOf(name);
        if (socket.Contains('=', StringComparison.Ordinal))
        {
            throw CliException.Usage($"{Option.ApiSocket}: give the path alone");
        }

        List<string> words = [.. WithConsole(invocation.VmmFlags), Flags.Name, name, Flags.ApiSocket, socket];
        // What is wrong with the flags is said here, and not in a log.
        LaunchOptions options = LaunchOptions.Parse(words);
        (DetachedProcess process, string state) = Launch(name, socket, words, options.Vm is not null, timeout);
        Report(invocation, name, process.Id, socket, state);
        process.Dispose();
        return ExitCode.Success;
    }

    /// <summary>Starts a VMM without a VM; returns the path of its API socket once it answers, and the process, which is the caller's.</summary>
    /// <param name="apiSocket">Path of its API socket; null for the usual one.</param>
    /// <param name="space">Path of the network namespace that it runs in; null for this process's own.</param>
    /// <exception cref="CliException">The name is not valid or taken, or it does not start.</exception>
    /// <exception cref="LinuxException">There is no such namespace, or it cannot be entered.</exception>
    public static (string Socket, DetachedProcess Process) StartEmpty(string name, string? apiSocket, string? space)
    {
        if (!VmRegistry.IsValidName(name))
        {
            throw CliException.Usage($"'{name}' is no name for a VM");
        }

        string socket = apiSocket ?? VmRegistry.SocketPathOf(name);
        (DetachedProcess process, _) = Launch(name, socket, [Flags.Name, name, Flags.ApiSocket, socket], boots: false, DefaultTimeout, space);
        return (socket, process);
    }

    private static (DetachedProcess Process, string State) Launch(
        string name, string socket, List<string> words, bool boots, TimeSpan timeout, string? space = null)
    {
        string program = VmmProgram.Find();
        VmRegistry.EnsureFolder();
        string log = VmRegistry.LogPathOf(name);
        if (VmRegistry.List().Any(e => e.Name == name))
        {
            throw new CliException(ExitCode.Failure, $"a VM named '{name}' is running; choose another name (see cnvm ps)");
        }

        const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var creation = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.ReadWrite, Share = FileShare.ReadWrite, UnixCreateMode = OwnerOnly };
        using FileStream output = new(log, creation);
        int descriptor = (int)output.SafeFileHandle.DangerousGetHandle();
        DetachedProcess Begin() => DetachedProcess.Start(program, [VmmProgram.Name, .. words], descriptor, descriptor);
        DetachedProcess process = space is null ? Begin() : NetworkNamespaces.Within(space, Begin);
        try
        {
            return (process, AwaitState(process, socket, boots, timeout, output));
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    private static string ChooseName(Invocation invocation)
    {
        if (invocation.Vm is not null && invocation.Value("--name") is not null)
        {
            throw CliException.Usage($"'{invocation.Vm}' or --name says what to call the VM: give one of them");
        }

        if ((invocation.Vm ?? invocation.Value("--name")) is { } name)
        {
            return VmRegistry.IsValidName(name)
                ? name
                : throw CliException.Usage(
                    $"'{name}' is no name: it has 1 to {VmRegistry.MaxNameLength} letters, digits, dots, dashes and underscores, and starts with a letter or digit");
        }

        HashSet<string> taken = [.. VmRegistry.List().Select(e => e.Name)];
        for (int i = 1; ; i++)
        {
            string candidate = string.Create(CultureInfo.InvariantCulture, $"vm{i}");
            if (!taken.Contains(candidate))
            {
                return candidate;
            }
        }
    }

    /// <summary>A VM in the background has no terminal: its serial port is a pseudo-terminal unless a console was chosen.</summary>
    private static List<string> WithConsole(IReadOnlyList<string> flags)
    {
        List<string> words = [.. flags];
        var arguments = new Arguments(flags);
        if (arguments.FirstVmFlag is null)
        {
            return words;
        }

        foreach (string flag in (ReadOnlySpan<string>)[Flags.Serial, Flags.Console, Flags.DebugConsole])
        {
            if (arguments.Value(flag) is { } mode && mode.Split(',').Contains("tty"))
            {
                throw CliException.Usage($"{flag} tty: a VM in the background has no terminal; use pty, file=PATH or socket=PATH");
            }
        }

        if (!arguments.Has(Flags.Console))
        {
            words.AddRange([Flags.Console, "off"]);
            if (!arguments.Has(Flags.Serial))
            {
                words.AddRange([Flags.Serial, "pty"]);
            }
        }

        return words;
    }

    /// <summary>Waits until the VMM answers, and the VM runs if there is to be one.</summary>
    private static string AwaitState(DetachedProcess process, string socket, bool boots, TimeSpan timeout, FileStream log)
    {
        long started = Stopwatch.GetTimestamp();
        bool answers = false;
        while (Stopwatch.GetElapsedTime(started) < timeout)
        {
            // Either the process ends, or it is asked again a little later.
            if (Poll.Wait([new PollEntry { Fd = process.Fd, Events = PollEntry.In }], AskMilliseconds) > 0)
            {
                return process.ExitCode() == 0 ? "ended" : throw new CliException(ExitCode.Failure, Failure(log));
            }

            // The state is asked for one round after the first answer: until the VM is created, a VMM logs such calls as refused.
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(started);
            if (answers && TryAskState(socket, left) is { } state and not "created")
            {
                return state;
            }

            answers = answers || TryPing(socket, left);
            if (answers && !boots)
            {
                return "empty";
            }
        }

        throw new CliException(
            ExitCode.TimedOut,
            string.Create(
                CultureInfo.InvariantCulture,
                $"process {process.Id} does not run a VM after {Units.Duration(timeout)}; it was left alone (its messages are in {log.Name})"));
    }

    private static bool TryPing(string socket, TimeSpan left)
    {
        try
        {
            using CnvmClient client = Connect(socket, left);
            _ = client.Call("GET", "vmm.ping");
            return true;
        }
        catch (LinuxException)
        {
            // It does not serve its socket yet, or has just ended.
            return false;
        }
    }

    private static string? TryAskState(string socket, TimeSpan left)
    {
        try
        {
            using CnvmClient client = Connect(socket, left);
            return VmSummary.AskState(client);
        }
        catch (LinuxException)
        {
            // It has just ended, or is still busy.
            return null;
        }
    }

    private static CnvmClient Connect(string socket, TimeSpan left)
    {
        CnvmClient client = CnvmClient.Connect(socket);
        client.TimeoutMilliseconds = (int)Math.Clamp(left.TotalMilliseconds, 1, int.MaxValue);
        return client;
    }

    /// <summary>What the VMM said before it ended. It is read here: the VMM removes a log that is empty when it ends.</summary>
    private static string Failure(FileStream log)
    {
        log.Position = 0;
        using var reader = new StreamReader(log, Encoding.UTF8, leaveOpen: true);
        string said = reader.ReadToEnd().Trim();
        File.Delete(log.Name);
        return said.Length == 0 ? $"{VmmProgram.Name} ended without a message" : $"{VmmProgram.Name} ended:\n{said}";
    }

    private static void Report(Invocation invocation, string name, int process, string socket, string state)
    {
        if (invocation.Json)
        {
            Stdio.Print(JsonObject.Write(json =>
            {
                json.Text("name", name);
                json.Text("state", state);
                json.Number("pid", (ulong)process);
                json.Text("api_socket", socket);
            }));
            return;
        }

        Stdio.Print(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{name}: {state}, process {process}")));
    }
}
