using System.Text;
using Cnvm.Cli.Commands;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Help;

/// <summary>The help, made from the table of commands.</summary>
internal static class HelpText
{
    public const string Intro =
        """
        cnvm: starts, lists and talks to virtual machines.

        Usage:
          cnvm COMMAND [VM] [ARGUMENTS]
          cnvm --api-socket PATH COMMAND [ARGUMENTS]     as ch-remote

        VM is a name that cnvm ps lists, or the beginning of one; while one VM runs, commands that show [VM] find it by
        themselves. Every VM is one process, cnvm-vmm, and has an API socket.
        """;

    public const string Examples =
        """
        From a kernel to its end:
          cnvm start web --kernel vmlinux --cmdline 'console=ttyS0 root=/dev/vda1 rw' --disk path=debian.ext4
          cnvm ps                     which VMs run
          cnvm console web            talk to it; Ctrl-] leaves it running
          cnvm pause web; cnvm resume web
          cnvm power-button web       ask the guest to shut down
          cnvm wait web               until it has
          cnvm shutdown-vmm web       or end it at once
        An image as a VM:
          cnvm run -it debian bash    debian: a folder with an OCI image layout
        """;

    public const string ExitCodes =
        """
        Exit codes:
          0  done
          1  the VMM refused or could not be reached, a file could not be used, or the answer of check is no
          2  the command line is wrong; nothing was done
          3  no running VM or container is meant, or it is not clear which
          4  what was waited for did not happen in time
          cnvm run and cnvm exec end as their program does, or with 125 to 127 (see cnvm run --help)
        """;

    public const string Files =
        """
        Files:
          $XDG_RUNTIME_DIR/cnvm, else /run/cnvm (root) or /tmp/cnvm-UID: running VMs, their sockets and logs
          (with CNVM_RUNTIME_DIR=/a/path: there, and only those are seen)
          CNVM_VMM: the program that cnvm start, run and host-capabilities start, if it is not the cnvm-vmm beside cnvm or in PATH
          CNVM_IMAGES: folder with the kernel and the initramfs of cnvm run; CNVM_CACHE: in place of ~/.cache/cnvm
        """;

    private const int SummaryColumn = 36;

    /// <summary>What <c>cnvm --help</c> prints.</summary>
    public static string Overview()
    {
        var text = new StringBuilder($"{Intro}\n\n{Examples}\n");
        foreach ((string title, IReadOnlyList<Command> commands) in CommandTable.Sections)
        {
            text.Append($"\n{title}:\n");
            foreach (Command command in commands.Where(c => !c.IsHidden))
            {
                AddEntry(text, command.Synopsis, command.Summary);
            }
        }

        text.Append("\nOptions of every command:\n");
        AddOptions(text, Option.Global);
        return $"{text}\n{ExitCodes}\n\n{Files}\n\ncnvm COMMAND --help explains one command, cnvm-vmm --help the flags that describe a VM.";
    }

    /// <summary>What <c>cnvm COMMAND --help</c> prints.</summary>
    public static string Of(Command command)
    {
        var text = new StringBuilder($"cnvm {command.Name}: {command.Summary}.\n\nUsage:\n  cnvm {command.Usage}\n");
        if (command.Options.Count > 0)
        {
            text.Append("\nOptions:\n");
            AddOptions(text, command.Options);
        }

        if (command.Details.Length > 0)
        {
            text.Append('\n').Append(command.Details).Append('\n');
        }

        text.Append("\nOptions of every command:\n");
        AddOptions(text, Option.Global);
        return text.ToString();
    }

    /// <summary>An option and its value, with its letter.</summary>
    public static string Describe(Option option)
    {
        string name = option.Short is null ? option.Name : $"{option.Short}, {option.Name}";
        return option.Value is null ? name : $"{name} {option.Value}";
    }

    private static void AddOptions(StringBuilder text, IReadOnlyList<Option> options)
    {
        foreach (Option option in options)
        {
            AddEntry(text, Describe(option), option.Help);
        }
    }

    private static void AddEntry(StringBuilder text, string left, string right) =>
        text.Append("  ").Append(left.PadRight(SummaryColumn - 2)).Append(left.Length > SummaryColumn - 4 ? "  " : "").Append(right).Append('\n');
}
