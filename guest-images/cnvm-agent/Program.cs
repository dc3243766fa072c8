using Cnvm.GuestAgent.Init;
using Cnvm.GuestAgent.Io;
using Cnvm.GuestAgent.Stage;
using Cnvm.Linux;

namespace Cnvm.GuestAgent;

/// <summary>The program <c>cnvm-agent</c>: the first process of a sandbox's machine.</summary>
internal static class Program
{
    private const int Failure = 1;
    private const int Usage = 2;

    private static int Main(string[] args)
    {
        if (args is [StageProgram.Argument])
        {
            return StageProgram.Run();
        }

        var log = new ConsoleLog();
        bool isFirst = NativeThread.ProcessId == 1;
        AppDomain.CurrentDomain.UnhandledException += (_, e) => Fail(log, isFirst, e.ExceptionObject.ToString() ?? "");
        try
        {
            // What the kernel passes on from its command line is not for the agent.
            return isFirst ? RunMachine(log) : RunBeside(args, log);
        }
        catch (Exception e)
        {
            Fail(log, isFirst, e.ToString());
            return Failure;
        }
    }

    private static int RunMachine(ConsoleLog log)
    {
        GuestInit.Run();
        new AgentProgram(AgentOptions.Default, log).RunAsync().GetAwaiter().GetResult();
        log.Write("the machine turns itself off");
        Machine.PowerOff();
        return 0;
    }

    private static int RunBeside(string[] args, ConsoleLog log)
    {
        if (args is ["--help"] or ["--version"])
        {
            WriteOut((args[0] == "--help" ? AgentOptions.Help : $"cnvm-agent {BuildVersion.Full}") + "\n");
            return 0;
        }

        if (AgentOptions.Parse(args, out string problem) is not { } options)
        {
            log.Write(problem);
            return Usage;
        }

        Children.Adopt();
        new AgentProgram(options, log).RunAsync().GetAwaiter().GetResult();
        return 0;
    }

    // The framework's console would bring encodings and terminals along.
    private static void WriteOut(string text) => _ = FileIo.Write(1, System.Text.Encoding.UTF8.GetBytes(text));

    /// <summary>The first process must not end: the machine does, with the reason on its console.</summary>
    private static void Fail(ConsoleLog log, bool isFirst, string reason)
    {
        foreach (string line in reason.Split('\n'))
        {
            log.Write("fatal: " + line);
        }

        if (isFirst)
        {
            Machine.PowerOff();
        }
    }
}
