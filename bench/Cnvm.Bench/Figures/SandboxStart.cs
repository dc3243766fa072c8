using Cnvm.Bench.Machines;
using Cnvm.Sandbox;

namespace Cnvm.Bench.Figures;

/// <summary>
/// The library's sandboxes: one that goes on from a template against one that boots, until a container in it has printed (on KVM where that runs ordinary
/// guests, else on the software vCPU).
/// </summary>
internal sealed class SandboxStart(Workspace workspace) : Experiment
{
    private const string BootSide = "cnvm-boot";
    private const long MemoryBytes = 256L << 20;
    private string _rootfs = "";
    private string _template = "";
    private SandboxVm? _sandbox;
    private int _count;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("sandbox-output-wall", "ms", "start of a sandbox from a template to the first byte of a container's output, against one that boots; 150 ms are the goal on KVM"),
        new("sandbox-output-cpu", "ms", "the same, processor time of the VMM"),
        new("sandbox-ready-wall", "ms", "start of a sandbox from a template until it takes containers, against one that boots"),
    ];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", BootSide];

    protected override void SetUp()
    {
        if (!File.Exists("/bin/busybox"))
        {
            throw new UnavailableException("/bin/busybox is missing; 'make deps' installs it");
        }

        _rootfs = workspace.File("sandbox-root");
        foreach (string name in (string[])["bin", "dev", "etc", "proc", "sys", "tmp"])
        {
            Directory.CreateDirectory(Path.Combine(_rootfs, name));
        }

        File.Copy("/bin/busybox", Path.Combine(_rootfs, "bin", "busybox"));
        _template = workspace.File("sandbox-template");
        Measured(SandboxVm.MakeTemplateAsync(Options(), _template));
    }

    protected override void TearDown()
    {
        SandboxVm? sandbox = _sandbox;
        _sandbox = null;
        sandbox?.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    protected override double[] Sample(string side)
    {
        SandboxOptions options = Options();
        long started = Child.Now;
        _sandbox = Measured(SandboxVm.StartAsync(side == BootSide ? options : options with { Kernel = null, Initramfs = null, Template = _template }));
        long ready = Child.Now;
        try
        {
            Container container = Measured(_sandbox.CreateContainerAsync(
                "one", new ContainerOptions(new ContainerRootfs(_rootfs), new ProcessOptions(["/bin/busybox", "echo", "up"]))));
            Measured(container.StartAsync());
            int count = Measured(container.Process.StandardOutput.ReadAsync(new byte[16]).AsTask());
            long up = Child.Now;
            long processor = Libc.ProcessorTime(_sandbox.VmmProcessId);
            return count > 0 ? [(up - started) / 1e6, processor / 1e6, (ready - started) / 1e6] : throw new MeasurementException("the container printed nothing");
        }
        finally
        {
            TearDown();
        }
    }

    private SandboxOptions Options() => new()
    {
        VmmPath = workspace.CnvmProgram, Kernel = workspace.Image("vmlinux-small"), Initramfs = workspace.Image("sandbox-initramfs.cpio"),
        MemoryBytes = MemoryBytes, Folder = workspace.File($"sandbox-{_count++}"), Folders = [new SharedFolder(_rootfs, ReadOnly: true)],
    };

    private static void Measured(Task task)
    {
        try
        {
            task.GetAwaiter().GetResult();
        }
        catch (SandboxException e)
        {
            throw new MeasurementException(e.Message, e);
        }
    }

    private static T Measured<T>(Task<T> task)
    {
        Measured((Task)task);
        return task.Result;
    }
}
