using Cnvm.Cli.Containers;
using Cnvm.Cli.Parsing;

namespace Cnvm.Cli.Tests;

/// <summary>The commands about containers, as far as they need no guest: what is refused, and what becomes of a command line.</summary>
public sealed class ContainerTests : IDisposable
{
    private readonly CliRun _cli = new();

    public void Dispose() => _cli.Dispose();

    [Theory]
    [InlineData("run", 2, "IMAGE is missing")]
    [InlineData("run --nam x image", 2, "did you mean --name?")]
    [InlineData("run -d -t image", 2, "--detach")]
    [InlineData("run --name a/b image", 2, "is no name")]
    [InlineData("run -p 80 image", 2, "'80' is not HOST:GUEST")]
    [InlineData("run -p 80:99999 image", 2, "not HOST:GUEST")]
    [InlineData("run -p 1:2 --network none image", 2, "--publish needs a network")]
    [InlineData("run -p 1:2 --template t image", 2, "--template")]
    [InlineData("run --network bridge image", 2, "not one of none, passt")]
    [InlineData("run -v relative image", 2, "--volume")]
    [InlineData("run --pull image", 2, "begins with docker://")]
    [InlineData("run -v /a:b image", 2, "absolute path")]
    [InlineData("run --memory lots image", 2, "no size")]
    [InlineData("run --cpus 0 image", 2, "--cpus")]
    [InlineData("run --hypervisor xen image", 2, "not one of auto, kvm, soft")]
    [InlineData("run --kernel /missing image", 1, "/missing")]
    [InlineData("exec web", 2, "COMMAND is missing")]
    [InlineData("exec web id", 3, "no container 'web'")]
    [InlineData("stop", 2, "CONTAINER... is missing")]
    [InlineData("stop web", 3, "no container 'web'")]
    [InlineData("rm web", 3, "no container 'web'")]
    public void What_cannot_be_meant_is_refused_by_name(string command, int exitCode, string message)
    {
        CliResult result = _cli.Run(command.Split(' '));
        Assert.Equal(exitCode, result.ExitCode);
        Assert.Contains(message.Replace("CONTAINER... is", "CONTAINER is", StringComparison.Ordinal), result.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(_cli.RuntimeFolder, "containers", "web")));
    }

    [Fact]
    public void An_image_that_is_not_there_is_cnvms_own_failure_and_leaves_nothing()
    {
        string file = CliRun.ProgramPath("cnvm");
        CliResult result = _cli.Run("run", "--kernel", file, "--initramfs", file, "--store", Path.Combine(_cli.Folder, "store"), "missing", "--privileged", "-x");
        Assert.Equal(125, result.ExitCode);
        Assert.Contains($"no image at {_cli.Folder}/missing", result.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_cli.RuntimeFolder, "containers")));
        CliResult background = _cli.Run("run", "-d", "--kernel", file, "--initramfs", file, "missing");
        Assert.Equal(125, background.ExitCode);
        Assert.Contains("no image at", background.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_cli.RuntimeFolder, "containers")));
    }

    [Fact]
    public void An_image_of_elsewhere_is_skopeos_to_fetch()
    {
        string file = CliRun.ProgramPath("cnvm");
        string run = $"exec \"$CNVM\" run -d --kernel {file} --initramfs {file} --store store docker://one";
        CliResult without = _cli.Shell($"PATH=/nowhere {run}");
        Assert.Equal((125, ""), (without.ExitCode, without.Output));
        Assert.Contains("docker://one is fetched by the program skopeo", without.Error, StringComparison.Ordinal);
        Assert.Contains("'skopeo copy docker://one oci:FOLDER'", without.Error, StringComparison.Ordinal);

        // An image of no platform at all, so that nothing is started.
        string program = Path.Combine(_cli.Folder, "skopeo");
        File.WriteAllText(program, """
            #!/bin/sh
            echo "progress: $1 $2"
            mkdir "${3#oci:}" && echo '{}' >"${3#oci:}/oci-layout" && echo '{"manifests":[]}' >"${3#oci:}/index.json"
            """);
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        CliResult fetched = _cli.Shell($"PATH={_cli.Folder}:$PATH {run}");
        Assert.Equal((125, ""), (fetched.ExitCode, fetched.Output));
        Assert.StartsWith("progress: copy docker://one\n", fetched.Error, StringComparison.Ordinal);
        Assert.Contains("has no image for linux/amd64", fetched.Error, StringComparison.Ordinal);

        // It is there now, and asked for again only with --pull.
        CliResult kept = _cli.Shell($"PATH=/nowhere {run}");
        Assert.Contains("has no image for linux/amd64", kept.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("skopeo", kept.Error, StringComparison.Ordinal);
        Assert.Contains("is fetched by the program skopeo", _cli.Shell($"PATH=/nowhere {run.Replace("-d", "--pull", StringComparison.Ordinal)}").Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_cli.RuntimeFolder, "containers")));
    }

    [Fact]
    public void What_follows_the_image_is_its_own_command_line()
    {
        Invocation run = Invocation.Parse(["run", "-it", "-e", "A=1", "--env=B=2", "-v", "/a:/b", "image", "sh", "-c", "--name", "-it", "--", "-h"]);
        Assert.True(run.Has("--interactive") && run.Has("--tty") && !run.ShowHelp);
        Assert.Equal(["A=1", "B=2"], run.Values("--env"));
        Assert.Equal(["image", "sh", "-c", "--name", "-it", "--", "-h"], run.Operands);
        Assert.Null(run.Value("--name"));
        Assert.Equal(["web", "ls", "-la"], Invocation.Parse(["exec", "-tiu", "bob", "web", "ls", "-la"]).Operands);
        Assert.Contains("-iz", Assert.Throws<CliException>(() => Invocation.Parse(["run", "-iz", "image"])).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("TERM", 15)]
    [InlineData("SIGINT", 2)]
    [InlineData("sigkill", 9)]
    [InlineData("37", 37)]
    [InlineData("SIGRTMIN+3", 37)]
    [InlineData("SIGRTMIN+99", null)]
    [InlineData("0", null)]
    [InlineData("65", null)]
    [InlineData("", null)]
    [InlineData("SIG", null)]
    public void Signals_have_names_and_numbers(string text, int? number) => Assert.Equal(number, SignalName.Parse(text));
}
