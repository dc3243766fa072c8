using Cnvm.Api.Registry;
using Cnvm.Cli.Containers;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Commands;

/// <summary><c>cnvm logs</c>: also after the VM has ended.</summary>
internal static class LogsCommand
{
    public static int Run(Invocation invocation)
    {
        string given = invocation.Vm ?? throw CliException.Usage($"which VM? usage: cnvm {invocation.Command!.Usage}");
        if (VmRegistry.IsValidName(given) && ContainerFolder.Exists(given))
        {
            var container = new ContainerFolder(given);
            Show(File.Exists(container.OutputLog)
                ? container.OutputLog
                : throw new CliException(ExitCode.Failure, $"what '{given}' says goes to the terminal that it was started at"));
            return ExitCode.Success;
        }

        string name = VmRegistry.IsValidName(given) && File.Exists(VmRegistry.LogPathOf(given)) ? given : VmTarget.Find(invocation).Name ?? given;
        string path = VmRegistry.LogPathOf(name);
        if (!VmRegistry.IsValidName(name) || !File.Exists(path))
        {
            throw new CliException(
                ExitCode.Failure, $"'{name}' was not started by cnvm start: its messages go to where it was started, or to its --log-file");
        }

        Show(path);
        return ExitCode.Success;
    }

    private static void Show(string path)
    {
        using FileStream log = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        byte[] part = new byte[64 << 10];
        int count;
        while ((count = log.Read(part)) > 0)
        {
            Stdio.Write(Stdio.Stdout, part.AsSpan(0, count));
        }
    }
}
