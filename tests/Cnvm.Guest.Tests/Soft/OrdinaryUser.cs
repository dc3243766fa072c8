using System.Diagnostics;
using System.Globalization;
using Cnvm.Guest.Tests.Containers;
using Cnvm.Linux;
using Cnvm.Nested;

namespace Cnvm.Guest.Tests.Soft;

/// <summary>cnvm run and its companions as an ordinary user: nobody's number, no groups, no capabilities, a home and a runtime folder of its own.</summary>
public sealed class OrdinaryUser : IDisposable
{
    private const string User = "65534";
    private const UnixFileMode Everybody = (UnixFileMode)0b111_101_101;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);
    private readonly TemporaryDirectory _folder = new(Path.GetTempPath(), "cnvm-user-");
    private Process? _network;

    private string Image => _folder.File("image.tar");

    private string Volume => _folder.File("home/volume");

    public void Dispose()
    {
        _network?.Kill();
        _network?.Dispose();
        _folder.Dispose();
    }

    [SkippableFact]
    public void A_shell_in_an_image_runs_without_root()
    {
        Prepare();
        Assert.Equal(
            (42, "yes 0\nmade\ninput\n", ""),
            Cnvm("input\n", "run", "-i", "--rm", "--hypervisor", "soft", Image, "sh", "-c",
                "echo $FROM_IMAGE $(id -u); echo made >/root/file; chown 1000 /root/file; cat /root/file; cat; exit 42"));
        AssertNothingIsLeft();
    }

    [SkippableFact]
    public void One_in_the_background_has_volumes_further_processes_and_an_end()
    {
        Prepare();
        Assert.Equal(0, AsUser("", "sh", "-c", $"mkdir {Volume} && echo from-host >{Volume}/file").ExitCode);
        string script = "cat /volume/file; echo from-guest >/volume/made; trap 'echo bye; exit 3' TERM; while :; do sleep 0.2; done";
        Assert.Equal((0, "quiet\n", ""), Cnvm("", "run", "-d", "--name", "quiet", "--hypervisor", "soft", "-v", $"{Volume}:/volume", Image, "sh", "-c", script));
        Assert.Equal((5, "from-host\n", ""), Cnvm("", "exec", "quiet", "sh", "-c", "cat /volume/file; exit 5"));
        Assert.Equal((0, "", ""), Cnvm("", "stop", "quiet"));
        Assert.Equal((0, "from-host\nbye\n"), Cnvm("", "logs", "quiet") is var said ? (said.ExitCode, said.Output.Replace("Terminated\n", "", StringComparison.Ordinal)) : default);
        Assert.Equal((0, $"{User} from-guest\n", ""), AsUser("", "sh", "-c", $"echo $(stat -c %u {Volume}/made) $(cat {Volume}/made)"));
        Assert.Equal((0, "", ""), Cnvm("", "rm", "quiet"));
        AssertNothingIsLeft();
    }

    [SkippableFact]
    public void A_port_of_the_host_is_the_containers()
    {
        Prepare();
        Skip.If(ProgramPath.Find("passt") is null, "passt is missing (Debian: passt)");
        Skip.IfNot(Environment.IsPrivilegedProcess, "only root makes the network that nothing leaves");
        MakeNetwork();
        const string Script = "mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www";
        Assert.Equal((0, "web\n", ""), Cnvm("", "run", "-d", "--name", "web", "--hypervisor", "soft", "-p", "18080:80", Image, "sh", "-c", Script));
        Assert.Equal((0, "page\n"), AsUser("", "sh", "-c", "for i in $(seq 300); do busybox wget -q -O - http://127.0.0.1:18080/ 2>/dev/null && exit; sleep 0.1; done; exit 1") is var got
            ? (got.ExitCode, got.Output) : default);
        Assert.Equal((0, "", ""), Cnvm("", "rm", "--force", "web"));
        AssertNothingIsLeft();
    }

    /// <summary>What an ordinary user needs to reach, and has of its own.</summary>
    private void Prepare()
    {
        SandboxFixture.SkipWithout(SandboxFixture.Cli);
        File.SetUnixFileMode(_folder.Path, Everybody);
        File.Copy(BusyboxImage.ArchivePath, Image);
        File.SetUnixFileMode(Image, Everybody);
        foreach (string name in (string[])["home", "run"])
        {
            Directory.CreateDirectory(_folder.File(name), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        if (Environment.IsPrivilegedProcess)
        {
            Assert.Equal(0, Run("chown", "", User, _folder.File("home"), _folder.File("run")).ExitCode);
        }

        foreach (string file in (string[])[SandboxFixture.Cli, SandboxFixture.Vmm, SandboxFixture.Kernel, SandboxFixture.Initramfs])
        {
            Skip.If(AsUser("", "test", "-r", file).ExitCode != 0, $"{file} lies where only this user can read it");
        }
    }

    private void AssertNothingIsLeft()
    {
        Assert.Empty(Directory.GetFileSystemEntries(_folder.File("run/cnvm/sandboxes")));
        Assert.Empty(Directory.GetFileSystemEntries(_folder.File("run/cnvm/containers")));
        Assert.DoesNotContain(_folder.Path, File.ReadAllText("/proc/self/mountinfo"), StringComparison.Ordinal);
        foreach (string process in Directory.GetDirectories("/proc").Where(p => char.IsAsciiDigit(Path.GetFileName(p)[0])))
        {
            string words = Run("cat", "", process + "/cmdline").Output;
            Assert.False(words.Contains(_folder.Path, StringComparison.Ordinal), $"{process} is left: {words.Replace('\0', ' ')}");
        }
    }

    /// <summary>Where passt has an interface to speak for, and nothing leads out.</summary>
    private void MakeNetwork()
    {
        var info = new ProcessStartInfo(
            "unshare",
            [
                "--net", "sh", "-c",
                "ip link set lo up && ip tuntap add t0 mode tap && ip address add 192.0.2.2/24 dev t0 && ip link set t0 up && ip route add default via 192.0.2.1 && echo ready && exec sleep 600",
            ])
        { RedirectStandardOutput = true };
        _network = Process.Start(info)!;
        Skip.If(_network.StandardOutput.ReadLine() != "ready", "this machine makes no network namespace with an interface");
    }

    private (int ExitCode, string Output, string Error) Cnvm(string input, params string[] arguments) => AsUser(input, [SandboxFixture.Cli, .. arguments]);

    private (int ExitCode, string Output, string Error) AsUser(string input, params string[] command)
    {
        List<string> words =
        [
            "env", "-i", "PATH=/usr/bin:/bin", $"HOME={_folder.File("home")}", $"XDG_RUNTIME_DIR={_folder.File("run")}", $"CNVM_VMM={SandboxFixture.Vmm}",
            $"CNVM_IMAGES={Repository.Images}", .. command,
        ];
        if (Environment.IsPrivilegedProcess)
        {
            words.InsertRange(0, ["setpriv", "--reuid", User, "--regid", User, "--clear-groups", "--bounding-set", "-all", "--no-new-privs"]);
        }

        if (_network is not null)
        {
            words.InsertRange(0, ["nsenter", "--target", _network.Id.ToString(CultureInfo.InvariantCulture), "--net"]);
        }

        return Run(words[0], input, [.. words.Skip(1)]);
    }

    private static (int ExitCode, string Output, string Error) Run(string program, string input, params string[] arguments)
    {
        var info = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = "/",
        };
        using var process = Process.Start(info)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        bool ended = process.WaitForExit(Limit);
        if (!ended)
        {
            process.Kill(entireProcessTree: true);
        }

        Assert.True(ended, $"{program} {string.Join(' ', arguments)} did not end in {Limit}");
        return (process.ExitCode, output.Result, error.Result);
    }
}
