using System.Globalization;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// Resident memory of the VMM besides the guest's: one vCPU, a disk and a network device, after the guest has used the disk. The guest's
/// memory is a memory file here, so that its mapping has a name to recognise it by; in all else it is the default machine.
/// </summary>
internal sealed class MemoryOverhead(Workspace workspace) : Experiment
{
    private const long DiskBytes = 16 << 20;
    private const int Requests = 1000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private readonly Vmm[] _machines = [new CnvmVmm(), QemuVmm.Microvm, QemuVmm.Q35];
    private TapDevice? _tap;

    public override IReadOnlyList<Measure> Measures { get; } =
        [new("rss-overhead", "MiB", "resident memory beyond guest RAM, 1 vCPU, 128 MiB, virtio disk and network")];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override int DefaultRounds => 3;

    protected override void SetUp()
    {
        _tap = TapDevice.Create();
        using FileStream disk = File.Create(workspace.File("memory.raw"));
        disk.SetLength(DiskBytes);
    }

    protected override void TearDown() => _tap?.Dispose();

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        var plan = new GuestPlan
        {
            Kernel = workspace.Image(Payload.Image),
            CommandLine = Payload.DiskReads(machine.DiskAddress, Requests, size: 4096, depth: 8, random: true),
            Disk = workspace.File("memory.raw"),
            Tap = _tap!.Name,
            ControlSocket = workspace.File("memory-control"),
            NamedMemory = true,
        };
        File.Delete(plan.ControlSocket);
        using Child child = machine.Start(workspace, plan, Limit);
        child.WaitFor(Payload.IdleText);
        return [ResidentKiB(child.Id, machine.MemoryName) / 1024.0];
    }

    /// <summary>Resident KiB of all mappings (proc_pid_smaps(5)) but those of the guest's memory.</summary>
    private static long ResidentKiB(int processId, string memoryName)
    {
        long total = 0;
        bool guest = false;
        bool found = false;
        foreach (string line in File.ReadLines($"/proc/{processId}/smaps"))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

            // A mapping begins with its address range; its properties follow as "Name: value".
            if (!words[0].EndsWith(':'))
            {
                guest = words.Length > 5 && words[5] == memoryName;
                found |= guest;
            }
            else if (words[0] == "Rss:" && !guest)
            {
                total += long.Parse(words[1], CultureInfo.InvariantCulture);
            }
        }

        return found ? total : throw new MeasurementException($"no mapping is called {memoryName}, so guest memory cannot be told apart");
    }
}
