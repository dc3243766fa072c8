using System.Diagnostics;
using Cnvm.Cli.Commands;
using Cnvm.Cli.Help;
using Cnvm.Cli.Parsing;
using Cnvm.CommandLine;

namespace Cnvm.Cli.Tests;

/// <summary>Help, man pages and completion say the same, because they come from one table.</summary>
public sealed class HelpTests : IDisposable
{
    private readonly CliRun _cli = new();

    public static TheoryData<string> Commands => new(CommandTable.Visible.Select(c => c.Name));

    public void Dispose() => _cli.Dispose();

    [Fact]
    public void Every_command_of_ch_remote_is_there()
    {
        string[] theirs =
        [
            "add-device", "add-disk", "add-fs", "add-generic-vhost-user", "add-net", "add-pmem", "add-user-device", "add-vdpa", "add-vsock",
            "boot", "coredump", "counters", "create", "delete", "info", "nmi", "pause", "ping", "power-button", "reboot",
            "receive-migration", "remove-device", "resize", "resize-disk", "resize-zone", "restore", "resume", "send-migration", "shutdown",
            "shutdown-vmm", "snapshot",
        ];
        Assert.Empty(theirs.Except(CommandTable.Visible.Select(c => c.Name)));
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public void Help_man_page_and_completion_know_the_command_and_its_options(string name)
    {
        Command command = CommandTable.Find(name)!;
        Assert.Contains($"\n  {command.Synopsis}", Cli.Help.HelpText.Overview(), StringComparison.Ordinal);
        string[] words = name.Split(' ');
        Assert.Contains(words[^1], CompletionCommand.Candidates([.. words[..^1], ""]));
        string help = Cli.Help.HelpText.Of(command);
        string man = ManPage.OfCnvm().Replace("\\-", "-", StringComparison.Ordinal).Replace("\\(ha", "^", StringComparison.Ordinal);
        Assert.Contains($".B cnvm {command.Usage}\n", man, StringComparison.Ordinal);
        foreach (Option option in command.Options)
        {
            Assert.Contains(option.Name, help, StringComparison.Ordinal);
            Assert.Contains($"{option.Name}{(option.Value is null ? "" : " " + option.Value)}: {option.Help}", man, StringComparison.Ordinal);
            Assert.Contains(option.Name, CompletionCommand.Candidates([.. words, "--"]));
        }
    }

    [Fact]
    public void The_man_page_of_the_vmm_has_every_flag_of_its_help()
    {
        string man = ManPage.OfVmm().Replace("\\-", "-", StringComparison.Ordinal);
        foreach (string flag in Flags.Names)
        {
            Assert.Contains(flag == Flags.Verbose ? "-v" : flag, man, StringComparison.Ordinal);
        }

        foreach (string line in CommandLine.HelpText.Text.Split('\n').Where(l => l.StartsWith("  --", StringComparison.Ordinal)))
        {
            Assert.Contains(line.Split("  ", StringSplitOptions.RemoveEmptyEntries)[0], man, StringComparison.Ordinal);
        }
    }

    [SkippableTheory]
    [InlineData("cnvm", "--api")]
    [InlineData("cnvm-vmm", "--api")]
    [InlineData("cnvm-vhost-user-blk", "--block-backend")]
    [InlineData("cnvm-vhost-user-fs", "--shared-dir")]
    public void Groff_has_nothing_to_complain_about(string program, string flag)
    {
        Skip.IfNot(File.Exists("/usr/bin/groff"), "groff is not installed");
        CliResult man = _cli.Run("__man", program);
        Assert.Equal((0, ""), (man.ExitCode, man.Error));
        CliResult formatted = CliRun.Finish(_cli.Start("/usr/bin/groff", "-ww", "-man", "-Tutf8", "-rLL=120n"), man.Output);
        Assert.Equal((0, ""), (formatted.ExitCode, formatted.Error));
        Assert.Contains(flag, formatted.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_flags_shells_and_vms_are_completed()
    {
        Assert.Equal(["pause", "ping"], CompletionCommand.Candidates(["p"]).Where(c => c is "pause" or "ping").Order());
        Assert.Equal(["created", "running", "paused", "shutdown"], CompletionCommand.Candidates(["wait", "--state", ""]));
        Assert.Equal(["bash", "zsh", "fish"], CompletionCommand.Candidates(["completion", ""]));
        Assert.Contains("--kernel", CompletionCommand.Candidates(["start", "--ker"]));
        Assert.Empty(CompletionCommand.Candidates(["start", "--kernel", ""]));
        Assert.Empty(CompletionCommand.Candidates(["start", ""]));
        Process vmm = _cli.Start("cnvm-vmm", "--name", "web");
        Assert.True(SpinWait.SpinUntil(() => _cli.Run("__complete", "--", "pause", "").Output == "web\n", TimeSpan.FromSeconds(30)));
        Assert.Equal("", _cli.Run("__complete", "--", "pause", "x").Output);
        CliResult bash = _cli.Shell(
            "source <(\"$CNVM\" completion bash); COMP_WORDS=(\"$CNVM\" pause w); COMP_CWORD=2; _cnvm; echo \"${COMPREPLY[*]}\"");
        Assert.Equal(new CliResult(0, "web\n", ""), bash);
    }

    [SkippableTheory]
    [InlineData("zsh")]
    [InlineData("fish")]
    public void The_script_is_one_that_the_shell_reads(string shell)
    {
        string? program = Environment.GetEnvironmentVariable("PATH")!.Split(':').Select(d => Path.Combine(d, shell)).FirstOrDefault(File.Exists);
        Skip.If(program is null, $"{shell} is not installed");
        CliResult script = _cli.Run("completion", shell);
        string file = Path.Combine(_cli.Folder, "completion");
        File.WriteAllText(file, script.Output);
        CliResult read = CliRun.Finish(_cli.Start(program!, "-n", file), null);
        Assert.Equal(new CliResult(0, "", ""), read);
    }

    [Fact]
    public void Nothing_typed_is_a_usage_error_that_helps()
    {
        CliResult nothing = _cli.Run();
        Assert.Equal((2, ""), (nothing.ExitCode, nothing.Output));
        Assert.Contains("cnvm start", nothing.Error, StringComparison.Ordinal);
        CliResult help = _cli.Run("--help");
        Assert.Equal((0, ""), (help.ExitCode, help.Error));
        Assert.Equal((0, true), (_cli.Run("--version").ExitCode, _cli.Run("--version").Output.StartsWith("cnvm v", StringComparison.Ordinal)));
        Assert.Contains("did you mean pause?", _cli.Run("paus").Error, StringComparison.Ordinal);
        Assert.All(help.Output.Split('\n'), line => Assert.True(line.Length <= 120, line));
    }
}
