using System.Globalization;
using Cnvm.Nested;

namespace Cnvm.Bench.Figures;

/// <summary>
/// <c>cnvm run</c> on KVM in the nested host, whose processors are emulated, so that times are long, but alike for all: a VM that goes on from a template
/// against one that boots. <see cref="SandboxStart"/> has what this machine itself runs sandboxes on.
/// </summary>
internal sealed class SandboxNested(Workspace workspace) : Experiment
{
    private const string BootSide = "cnvm-boot";
    private const string Folder = "/run/cnvm-bench";
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(6);
    private NestedHost? _host;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("sandbox-nested-output-wall", "ms", "execution of `cnvm run` in the nested KVM host to the first line of the container's output, from a template against a VM that boots"),
    ];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", BootSide];

    protected override int DefaultRounds => 3;

    protected override TimeSpan Budget => TimeSpan.FromMinutes(2);

    protected override void TearDown()
    {
        NestedHost? host = Interlocked.Exchange(ref _host, null);
        host?.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    protected override double[] Sample(string side)
    {
        string[] template = side == BootSide ? [] : ["--template", $"{Folder}/templates"];
        string[] words =
        [
            "env", $"CNVM_VMM={workspace.CnvmProgram}", $"CNVM_IMAGES={Path.GetDirectoryName(workspace.Image("sandbox-initramfs.cpio"))}", $"CNVM_RUNTIME_DIR={Folder}/vms",
            Path.Combine(workspace.Root, "bench", "peers", "first-output.sh"), workspace.CliProgram, "run", "--hypervisor", "kvm", "--memory", "256M", .. template,
            $"{Folder}/rootfs", "/bin/busybox", "echo", "up",
        ];
        try
        {
            _host ??= StartHost();
            CommandResult result = _host.RunAsync(string.Join(' ', words.Select(Shell.Quote)), Limit).GetAwaiter().GetResult().OrThrow();
            return [double.Parse(result.Output, CultureInfo.InvariantCulture)];
        }
        catch (Exception e) when (e is NestedHostException or TimeoutException)
        {
            // Emulated hosts have been seen to stop under load; the next sample gets a new one.
            TearDown();
            throw new MeasurementException($"{side} in the nested host: {e.Message}", e);
        }
    }

    private static NestedHost StartHost()
    {
        NestedHost host = GuestToUserspace.StartHost();
        try
        {
            string make = $"mkdir -p {Folder}/rootfs/{{bin,dev,etc,proc,sys,tmp}} && mkdir -m 700 {Folder}/vms && cp /bin/busybox {Folder}/rootfs/bin/";
            host.RunAsync(make, Limit).GetAwaiter().GetResult().OrThrow();
            return host;
        }
        catch
        {
            host.DisposeAsync().AsTask().GetAwaiter().GetResult();
            throw;
        }
    }
}
