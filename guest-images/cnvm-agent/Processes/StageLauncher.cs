using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Processes;

/// <summary>Starts stages, and gives them what they need until they are ready.</summary>
internal sealed class StageLauncher(ProcessTable processes) : IDisposable
{
    private const int LongestMilliseconds = 60_000;
    private readonly ProgramCopy _program = new();

    /// <summary>Starts a stage and waits until it is ready to become its program.</summary>
    /// <param name="pidNamespace">Where it goes; null for a new one.</param>
    /// <param name="namespaces">As <see cref="StageChannel.FirstNamespace"/> says.</param>
    /// <param name="join">Puts the process into its control group before it does anything.</param>
    /// <exception cref="StageException">It cannot be made as the plan says.</exception>
    /// <exception cref="LinuxException">This machine refuses.</exception>
    public StagedProcess Launch(StagePlan plan, FileDescriptor? pidNamespace, IReadOnlyList<FileDescriptor> namespaces, Action<int> join)
    {
        using PipePair orders = PipePair.Create();
        using PipePair reports = PipePair.Create();
        using PipePair? input = plan.HasTerminal ? null : PipePair.Create();
        using PipePair? output = plan.HasTerminal ? null : PipePair.Create();
        using PipePair? errors = plan.HasTerminal ? null : PipePair.Create();
        int nothing = orders.Reader.Value;
        int[] descriptors =
        [
            input?.Reader.Value ?? nothing, output?.Writer.Value ?? nothing, errors?.Writer.Value ?? nothing,
            orders.Reader.Value, reports.Writer.Value,
            .. namespaces.Select(n => n.Value),
        ];
        (int id, Task<int> exit) = processes.Start(() =>
        {
            if (pidNamespace is null)
            {
                Namespaces.Unshare(Namespaces.CLONE_NEWPID);
            }
            else
            {
                Namespaces.Enter(pidNamespace.Value, Namespaces.CLONE_NEWPID);
            }

            return Children.Start(_program.Path, ["cnvm-agent", StageProgram.Argument], [], descriptors);
        });
        try
        {
            join(id);
            reports.Writer.Dispose();
            orders.Reader.Dispose();
            StageChannel.WriteMessage(orders.Writer.Value, StageChannel.Ready, StagePlanFormat.Write(plan));
            FileDescriptor? terminal = AwaitReady(id, reports.Reader);
            return new StagedProcess(
                id, exit, Keep(orders.Writer), Keep(reports.Reader),
                terminal is null ? Keep(input!.Writer) : null,
                terminal ?? Keep(output!.Reader),
                terminal is null ? Keep(errors!.Reader) : null,
                plan.HasTerminal);
        }
        catch
        {
            processes.Signal(id, Children.SIGKILL);
            throw;
        }
    }

    public void Dispose() => _program.Dispose();

    /// <summary>A descriptor that outlives the pipe that it came with.</summary>
    private static FileDescriptor Keep(FileDescriptor fd) => new(FileDescriptor.Duplicate(fd.Value));

    private static FileDescriptor? AwaitReady(int id, FileDescriptor reports)
    {
        FileDescriptor? terminal = null;
        long deadline = Environment.TickCount64 + LongestMilliseconds;
        while (true)
        {
            int left = (int)Math.Max(0, deadline - Environment.TickCount64);
            if (Poll.Wait([new PollEntry { Fd = reports.Value, Events = PollEntry.In }], left) == 0)
            {
                throw new StageException($"the container was not made within {LongestMilliseconds / 1000} seconds");
            }

            (byte kind, byte[] content) = StageChannel.ReadMessage(reports.Value)
                ?? throw new StageException("the process that was to become the container's ended early (killed, or out of memory)");
            switch (kind)
            {
                case StageChannel.Terminal:
                    terminal = Children.TakeDescriptor(id, int.Parse(StageChannel.Text(content), System.Globalization.CultureInfo.InvariantCulture));
                    break;
                case StageChannel.Failure:
                    throw new StageException(StageChannel.Text(content));
                default:
                    return terminal;
            }
        }
    }
}
