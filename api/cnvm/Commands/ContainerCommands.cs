using Cnvm.Cli.Containers;
using Cnvm.Cli.Parsing;
using Cnvm.Linux;
using Cnvm.Sandbox;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm exec</c>, <c>stop</c> and <c>rm</c>: what is done with containers that <c>cnvm run</c> has started.</summary>
internal static class ContainerCommands
{
    private static readonly TimeSpan DefaultPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(20);

    public static int Exec(Invocation invocation)
    {
        if (invocation.Operands.Count < 2)
        {
            throw CliException.Usage($"{(invocation.Operands.Count == 0 ? "CONTAINER" : "COMMAND")} is missing; usage: cnvm {invocation.Command!.Usage}");
        }

        return RunCommand.Guard(() => ExecAsync(invocation).GetAwaiter().GetResult());
    }

    public static int Stop(Invocation invocation)
    {
        TimeSpan patience = invocation.Duration("--timeout") ?? DefaultPatience;
        foreach (string name in Names(invocation))
        {
            StopAsync(ContainerFolder.Find(name), patience).GetAwaiter().GetResult();
        }

        return ExitCode.Success;
    }

    public static int Remove(Invocation invocation)
    {
        foreach (string name in Names(invocation))
        {
            ContainerFolder folder = ContainerFolder.Find(name);
            if (folder.ReadState() is { ExitCode: null } && !invocation.Has("--force"))
            {
                throw new CliException(ExitCode.Failure, $"the container '{folder.Name}' runs: stop it first (cnvm stop {folder.Name}), or give --force");
            }

            StopAsync(folder, TimeSpan.Zero).GetAwaiter().GetResult();
            folder.Remove();
        }

        return ExitCode.Success;
    }

    private static IReadOnlyList<string> Names(Invocation invocation) => invocation.Operands.Count > 0
        ? invocation.Operands
        : throw CliException.Usage($"CONTAINER is missing; usage: cnvm {invocation.Command!.Usage}");

    private static async Task<int> ExecAsync(Invocation invocation)
    {
        ContainerFolder folder = ContainerFolder.Find(invocation.Operands[0]);
        ContainerState state = folder.ReadState();
        if (state.ExitCode is not null)
        {
            throw new CliException(ExitCode.Failure, $"the container '{folder.Name}' has ended");
        }

        var options = new ProcessOptions([.. invocation.Operands.Skip(1)])
        {
            Environment = invocation.Values("--env"), WorkingDirectory = invocation.Value("--workdir"), User = invocation.Value("--user"),
            Terminal = invocation.Has("--tty"),
        };
        await using SandboxVm sandbox = await SandboxVm.AttachAsync(state.Sandbox).ConfigureAwait(false);
        SandboxProcess process;
        try
        {
            process = await Open(sandbox, folder, state).ExecAsync(options).ConfigureAwait(false);
        }
        catch (SandboxException e) when (ContainerSession.ExitCodeOf(e) is { } code)
        {
            throw new CliException(code, e.Message);
        }

        return await new ProcessTerminal(process, invocation.Has("--interactive")).RunAsync().ConfigureAwait(false);
    }

    private static Container Open(SandboxVm sandbox, ContainerFolder folder, ContainerState state) => sandbox.OpenContainer(
        folder.Name,
        state.Rootfs,
        new ProcessOptions(state.Command) { Environment = state.Environment, WorkingDirectory = state.WorkingDirectory, User = state.User });

    /// <summary>Asks the first process to end, and ends it when it has not by then.</summary>
    private static async Task StopAsync(ContainerFolder folder, TimeSpan patience)
    {
        ContainerState state = folder.ReadState();
        if (state.ExitCode is not null)
        {
            return;
        }

        using DetachedProcess? keeper = DetachedProcess.TryOpen(state.Pid);
        if (keeper is null || !folder.IsKept)
        {
            _ = folder.ReadState();
            return;
        }

        try
        {
            await using SandboxVm sandbox = await SandboxVm.AttachAsync(state.Sandbox).ConfigureAwait(false);
            Container container = Open(sandbox, folder, state);
            if (patience > TimeSpan.Zero)
            {
                await container.SignalAsync(state.StopSignal).ConfigureAwait(false);
                if (HasEnded(keeper, patience))
                {
                    return;
                }
            }

            await container.SignalAsync(SignalName.Kill).ConfigureAwait(false);
        }
        catch (SandboxException e) when (e.Kind is SandboxErrorKind.NotFound or SandboxErrorKind.Gone)
        {
            // It is ending by itself.
        }

        if (!HasEnded(keeper, EndPatience))
        {
            throw new CliException(ExitCode.TimedOut, $"process {state.Pid}, which keeps the container '{folder.Name}', does not end");
        }
    }

    private static bool HasEnded(DetachedProcess keeper, TimeSpan patience) =>
        Poll.Wait([new PollEntry { Fd = keeper.Fd, Events = PollEntry.In }], (int)Math.Min(int.MaxValue, patience.TotalMilliseconds)) > 0;
}
