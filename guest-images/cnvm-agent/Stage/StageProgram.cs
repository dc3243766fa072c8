using System.Globalization;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.GuestAgent.Stage;

/// <summary>
/// The agent's program once more, as the process that becomes a container's. It is the first of its PID namespace, or in the container's.
/// All that it does, it does on the thread it began with: namespaces, user, rights and filter are that thread's when it executes.
/// </summary>
internal static class StageProgram
{
    /// <summary>The hidden argument.</summary>
    public const string Argument = "__stage";

    private const int FailureCode = 127;

    public static int Run()
    {
        try
        {
            ContainerTerminal.CloseOnExecFrom(StageChannel.Orders);
            ThreadCredentials.HideProcess();
            (byte Kind, byte[] Content)? message = StageChannel.ReadMessage(StageChannel.Orders);
            if (message is not { } order)
            {
                return FailureCode;
            }

            Perform(StagePlanFormat.Read(order.Content));
        }
        catch (Exception e)
        {
            StageChannel.WriteMessage(StageChannel.Reports, StageChannel.Failure, Encoding.UTF8.GetBytes(e.Message));
        }

        return FailureCode;
    }

    private static void Perform(StagePlan plan)
    {
        if (plan.RootPath is null)
        {
            EnterContainer(plan);
        }
        else
        {
            MakeContainer(plan);
        }

        PipePair? terminal = plan.HasTerminal ? OpenTerminal(plan) : null;
        var start = new ProcessStart(plan);
        start.Prepare();
        StageChannel.WriteMessage(StageChannel.Reports, StageChannel.Ready, []);
        if (StageChannel.ReadMessage(StageChannel.Orders) is null)
        {
            throw new StageException("the container was given up before its start");
        }

        ContainerTerminal.BeginSession();
        if (terminal is not null)
        {
            ContainerTerminal.Take(terminal.Writer);
        }

        start.Execute();
    }

    private static void MakeContainer(StagePlan plan)
    {
        SetOomScore(plan);
        Enter(0, Namespaces.CLONE_NEWUTS);
        Enter(1, Namespaces.CLONE_NEWIPC);
        Namespaces.Unshare(Namespaces.CLONE_NEWNS | Namespaces.CLONE_NEWCGROUP);
        if (plan.HostName.Length > 0)
        {
            Namespaces.SetHostName(plan.HostName);
        }

        ContainerRoot.Build(plan);
    }

    private static void EnterContainer(StagePlan plan)
    {
        SetOomScore(plan);
        // The runtime's other thread shares the folders with this one, and mount namespaces are not for threads that share them.
        Namespaces.Unshare(Namespaces.CLONE_FS);
        Enter(1, Namespaces.CLONE_NEWCGROUP);
        Enter(2, Namespaces.CLONE_NEWUTS);
        Enter(3, Namespaces.CLONE_NEWIPC);
        Enter(0, Namespaces.CLONE_NEWNS);
    }

    private static void Enter(int index, int kind)
    {
        using var fd = new FileDescriptor(StageChannel.FirstNamespace + index);
        Namespaces.Enter(fd.Value, kind);
    }

    private static void SetOomScore(StagePlan plan)
    {
        if (plan.OomScoreAdjustment is { } score)
        {
            File.WriteAllText("/proc/self/oom_score_adj", score.ToString(CultureInfo.InvariantCulture));
        }
    }

    private static PipePair OpenTerminal(StagePlan plan)
    {
        PipePair terminal = ContainerTerminal.Open("/dev/pts/ptmx");
        if (plan.TerminalRows != 0 && plan.TerminalColumns != 0)
        {
            Terminal.SetSize(terminal.Reader.Value, plan.TerminalColumns, plan.TerminalRows);
        }

        if (plan.RootPath is not null)
        {
            ContainerRoot.MountConsole(terminal.Writer);
        }

        // The agent fetches the controlling side; this process's own is closed when it executes.
        byte[] number = Encoding.ASCII.GetBytes(terminal.Reader.Value.ToString(CultureInfo.InvariantCulture));
        StageChannel.WriteMessage(StageChannel.Reports, StageChannel.Terminal, number);
        return terminal;
    }
}
