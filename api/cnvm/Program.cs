using Cnvm.Api;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;
using Cnvm.CommandLine;
using Cnvm.Vmm;
using Cnvm.Vmm.Snapshot;
using HelpText = Cnvm.Cli.Help.HelpText;

namespace Cnvm.Cli;

/// <summary>The program <c>cnvm</c>: starts, lists and talks to virtual machines.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        Invocation? invocation = null;
        try
        {
            if (args.Length == 0)
            {
                Stdio.Error(HelpText.Overview());
                return ExitCode.Usage;
            }

            invocation = Invocation.Parse(args);
            if (invocation.ShowHelp)
            {
                Stdio.Print(invocation.Command is { } command ? HelpText.Of(command) : HelpText.Overview());
                return ExitCode.Success;
            }

            if (invocation.ShowVersion)
            {
                Stdio.Print($"cnvm v{BuildVersion.Full}");
                return ExitCode.Success;
            }

            return invocation.Command!.Run(invocation);
        }
        catch (Exception e) when (e is CliException or CommandLineException or ApiCallException or VmmException or SnapshotException
            or IOException or UnauthorizedAccessException)
        {
            bool json = invocation?.Json ?? args.Contains("--json");
            ErrorReport.Write(e, invocation?.Command?.Name, json);
            return ErrorReport.ExitCodeOf(e);
        }
    }
}
