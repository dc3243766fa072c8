using Cnvm.Cli.Commands;
using Cnvm.Cli.Output;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Help;

/// <summary>The man pages: of <c>cnvm</c> from its table of commands, of the other programs from their help.</summary>
internal static class ManPage
{
    public static int Run(Invocation invocation)
    {
        Stdio.Print(invocation.Operands[0] switch
        {
            "cnvm" => OfCnvm(),
            "cnvm-vmm" => OfVmm(),
            CommandLine.BlockBackendOptions.Program =>
                OfHelp(CommandLine.BlockBackendOptions.Program, "serve a disk image by vhost-user", CommandLine.BlockBackendHelp.Text),
            CommandLine.FsBackendOptions.Program =>
                OfHelp(CommandLine.FsBackendOptions.Program, "serve a shared folder by vhost-user", CommandLine.FsBackendHelp.Text),
            CommandLine.ShimHelp.Program => OfHelp(CommandLine.ShimHelp.Program, "run containerd's containers in virtual machines", CommandLine.ShimHelp.Text),
            _ => throw CliException.Usage($"there is no man page of '{invocation.Operands[0]}'"),
        });
        return ExitCode.Success;
    }

    public static string OfCnvm()
    {
        var page = new Roff("cnvm", BuildVersion.Number, "start, list and talk to virtual machines");
        page.Section("Synopsis");
        page.Paragraph("cnvm COMMAND [VM] [ARGUMENTS]");
        page.Paragraph("cnvm --api-socket PATH COMMAND [ARGUMENTS]");
        page.Section("Description");
        page.Verbatim(HelpText.Intro[(HelpText.Intro.LastIndexOf("\n\n", StringComparison.Ordinal) + 2)..]);
        page.Verbatim(HelpText.Examples);
        page.Section("Commands");
        foreach ((string title, IReadOnlyList<Command> commands) in CommandTable.Sections)
        {
            page.Subsection(title);
            foreach (Command command in commands.Where(c => !c.IsHidden))
            {
                page.Entry($"cnvm {command.Usage}", $"{command.Summary}.");
                foreach (Option option in command.Options)
                {
                    page.Verbatim($"    {HelpText.Describe(option)}: {option.Help}");
                }

                if (command.Details.Length > 0)
                {
                    page.Verbatim("    " + command.Details.Replace("\n", "\n    ", StringComparison.Ordinal));
                }
            }
        }

        page.Section("Options of every command");
        foreach (Option option in Option.Global)
        {
            page.Entry(HelpText.Describe(option), option.Help);
        }

        page.Section("Exit codes");
        page.Verbatim(AfterFirstLine(HelpText.ExitCodes));
        page.Section("Files and environment");
        page.Verbatim(AfterFirstLine(HelpText.Files));
        page.Section("See also");
        page.Paragraph("cnvm-vmm(1)");
        return page.ToString();
    }

    public static string OfVmm() => OfHelp("cnvm-vmm", "run one virtual machine", CommandLine.HelpText.Text);

    private static string OfHelp(string program, string summary, string help)
    {
        var page = new Roff(program, BuildVersion.Number, summary);
        // A line at the margin that ends with a colon is a section's title; a last one without is an ending.
        foreach (string part in help.Split("\n\n").Skip(1))
        {
            string first = part.Split('\n')[0];
            if (first.EndsWith(':') && part.Length > first.Length)
            {
                page.Section(first[..^1]);
                page.Verbatim(AfterFirstLine(part));
            }
            else
            {
                page.Section("Notes");
                page.Verbatim(part);
            }
        }

        page.Section("See also");
        page.Paragraph("cnvm(1)");
        return page.ToString();
    }

    private static string AfterFirstLine(string text) => text[(text.IndexOf('\n', StringComparison.Ordinal) + 1)..];
}
