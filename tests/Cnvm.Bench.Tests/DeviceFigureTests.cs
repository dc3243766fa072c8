using Cnvm.Bench.Devices;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Tests;

/// <summary>What the device figures rest on, without a guest.</summary>
public sealed class DeviceFigureTests
{
    private const long Second = 1_000_000_000;

    private static readonly GuestPlan Plan = new()
    {
        Kernel = "/k",
        Disk = "/raw",
        Qcow2 = "/qcow2",
        Share = new FolderShare("share", "/folder", "/fs.sock"),
        VsockSocket = "/vsock",
        NamedMemory = true,
        Cpus = 2,
    };

    [Fact]
    public void A_result_is_read()
    {
        WorkResult result = WorkResult.Parse(" operations=1000 bytes=4194304 create=250000000 nanoseconds=500000000\r");
        Assert.Equal(2000, result.Rate);
        Assert.Equal(8, result.MiBPerSecond);
        Assert.Equal(4000, result.RateOf("create"));
        Assert.Contains("stat", Assert.Throws<MeasurementException>(() => result.RateOf("stat")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("operations=0 nanoseconds=5")]
    [InlineData("operations=-1")]
    [InlineData("operations")]
    [InlineData("a=b")]
    public void A_result_that_makes_no_sense_is_refused(string text) => Assert.Throws<MeasurementException>(() => WorkResult.Parse(text));

    [Theory]
    [InlineData(10.0, true)]

    // Told late, as by a busy host.
    [InlineData(12.0, true)]
    [InlineData(9.0, false)]
    [InlineData(14.0, false)]
    public void A_guest_whose_clock_has_another_speed_is_found(double passed, bool isRight)
    {
        // Ten seconds lie between the answer and the next question, and three more around them.
        var clock = new GuestClock(askedFirst: 0, toldFirst: 1 * Second, first: 100);
        void Check() => clock.Check(asked: 11 * Second, told: 13 * Second, second: 100 + passed);
        if (isRight)
        {
            Check();
        }
        else
        {
            Assert.Throws<MeasurementException>(Check);
        }
    }

    [Fact]
    public void Both_programs_get_the_same_devices()
    {
        string cnvm = string.Join(' ', CnvmVmm.SoftCloud.Arguments(Plan));
        Assert.Contains("--hypervisor soft", cnvm, StringComparison.Ordinal);
        Assert.Contains("--cpus boot=2", cnvm, StringComparison.Ordinal);
        Assert.Contains("--disk path=/raw,image_type=raw --disk path=/qcow2,image_type=qcow2", cnvm, StringComparison.Ordinal);
        Assert.Contains("--fs tag=share,path=/folder", cnvm, StringComparison.Ordinal);
        Assert.Contains("--vsock cid=3,socket=/vsock", cnvm, StringComparison.Ordinal);

        string qemu = string.Join(' ', QemuVmm.TcgQ35.Arguments(Plan));
        Assert.Contains("-smp 2", qemu, StringComparison.Ordinal);
        Assert.Contains("accel=tcg,memory-backend=ram", qemu, StringComparison.Ordinal);
        Assert.Contains("file=/raw,if=none,id=raw,format=raw", qemu, StringComparison.Ordinal);
        Assert.Contains("file=/qcow2,if=none,id=qcow2,format=qcow2", qemu, StringComparison.Ordinal);
        Assert.Contains("socket,id=fs,path=/fs.sock -device vhost-user-fs-pci,chardev=fs,tag=share", qemu, StringComparison.Ordinal);
        Assert.Contains("vhost-vsock-pci,guest-cid=3", qemu, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_figure_has_a_name_of_its_own()
    {
        using var workspace = new Workspace();
        string[] names =
        [
            .. new[] { false, true }
                .SelectMany(n => (Experiment[])[new DiskWork(workspace, n), new NetWork(workspace, n), new FolderWork(workspace, n), new VsockWork(workspace, n)])
                .SelectMany(e => e.Measures)
                .Select(m => m.Name),
        ];
        Assert.Equal(38, names.Length);
        Assert.Equal(names.Length, names.Distinct().Count());
    }

    [SkippableFact]
    public void The_guests_program_measures_streams_packets_and_files()
    {
        using var workspace = new Workspace();
        string program = Compile(workspace);
        string folder = Directory.CreateDirectory(workspace.File("folder")).FullName;
        string socket = workspace.File("stream");
        using Child stream = Start(workspace, program, "serve", "unix:" + socket);
        stream.WaitFor("serving");
        foreach (string way in (string[])["send", "receive"])
        {
            Assert.True(Work(workspace, program, "stream", way, "unix:" + socket, "50").MiBPerSecond > 0);
        }

        string port = $"{FreeUdpPort()}";
        using Child packets = Start(workspace, program, "serve", "udp:127.0.0.1:" + port);
        packets.WaitFor("serving");
        foreach (string way in (string[])["send", "receive"])
        {
            Assert.True(Work(workspace, program, "packets", way, "127.0.0.1:" + port, "50").Rate > 0);
        }

        WorkResult written = Work(workspace, program, "file", "write", folder + "/f", "1", "20");
        Assert.True(written.MiBPerSecond > 0);
        Assert.True(Work(workspace, program, "file", "read", folder + "/f", "1", "20").MiBPerSecond > 0);
        Assert.Equal(1 << 20, new FileInfo(folder + "/f").Length);
    }

    [SkippableTheory]
    [InlineData("usage")]
    [InlineData("no number", "file", "read", "/dev/null", "none", "1")]
    [InlineData("no address", "stream", "send", "nowhere", "1")]
    public void The_guests_program_says_what_is_wrong(string what, params string[] arguments)
    {
        using var workspace = new Workspace();
        using Child work = Start(workspace, Compile(workspace), arguments);
        string error = work.WaitForEnd();
        Assert.True(error.StartsWith("work: ", StringComparison.Ordinal), $"{what}: {error}");
        Assert.Throws<MeasurementException>(() => work.WaitFor("work: end"));
    }

    private static string Compile(Workspace workspace)
    {
        try
        {
            return workspace.Compile("work");
        }
        catch (UnavailableException e)
        {
            Skip.If(true, e.Message);
            throw;
        }
    }

    private static Child Start(Workspace workspace, string program, params string[] arguments) =>
        Child.Start(workspace.Launcher, program, arguments, TimeSpan.FromSeconds(60));

    private static WorkResult Work(Workspace workspace, string program, params string[] arguments)
    {
        using Child work = Start(workspace, program, arguments);
        work.WaitFor("work: end");
        return WorkResult.Parse(work.ReadLine());
    }

    private static int FreeUdpPort()
    {
        using var socket = new System.Net.Sockets.UdpClient(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        return ((System.Net.IPEndPoint)socket.Client.LocalEndPoint!).Port;
    }
}
