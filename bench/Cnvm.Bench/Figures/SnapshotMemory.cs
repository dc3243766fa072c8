using System.Globalization;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// Resident memory of the VMM beyond the guest's at its highest point during a snapshot, against before it. The guest has touched its memory
/// before, and what it has not touched stays so.
/// </summary>
internal sealed class SnapshotMemory(Workspace workspace) : Experiment
{
    private const string BeforeSide = "cnvm-before";
    private const int MemoryMiB = 1024;

    // proc_pid_clear_refs(5): the peak begins anew at what is resident now.
    private const string ResetPeak = "5";

    public override IReadOnlyList<Measure> Measures { get; } =
        [new("rss-snapshot", "MiB", "peak of resident memory beyond guest RAM during vm.snapshot of 1 GiB, against before")];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", BeforeSide];

    protected override int DefaultRounds => 3;

    protected override double[] Sample(string side)
    {
        using var place = new SnapshotPlace();
        using SnapshotGuest guest = SnapshotGuest.Boot(workspace, Path.Combine(place.Folder(), "socket"), MemoryMiB);
        guest.Pause();
        long guestKiB = GuestKiB(guest.ProcessId);
        if (side == BeforeSide)
        {
            return [(Status(guest.ProcessId, "VmRSS:") - guestKiB) / 1024.0];
        }

        File.WriteAllText($"/proc/{guest.ProcessId}/clear_refs", ResetPeak);
        guest.Snapshot(place.Folder());
        return [(Status(guest.ProcessId, "VmHWM:") - guestKiB) / 1024.0];
    }

    /// <summary>Resident KiB of the mapping that is as large as the guest's memory.</summary>
    private static long GuestKiB(int processId)
    {
        bool guest = false;
        foreach (string line in File.ReadLines($"/proc/{processId}/smaps"))
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words[0] == "Size:")
            {
                guest = long.Parse(words[1], CultureInfo.InvariantCulture) == (long)MemoryMiB << 10;
            }
            else if (words[0] == "Rss:" && guest)
            {
                return long.Parse(words[1], CultureInfo.InvariantCulture);
            }
        }

        throw new MeasurementException($"no mapping has {MemoryMiB} MiB, so guest memory cannot be told apart");
    }

    private static long Status(int processId, string name)
    {
        string line = File.ReadLines($"/proc/{processId}/status").First(l => l.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}
