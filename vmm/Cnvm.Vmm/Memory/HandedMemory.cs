using Cnvm.Hypervisor.Memory;
using Cnvm.Linux;

namespace Cnvm.Vmm.Memory;

/// <summary>
/// Memory that a process hands to another one of the same host: a file for each piece of RAM, whether it has a name or not. Nothing is opened
/// by its name again: what lies there now, or as another process sees it, may be another file.
/// </summary>
/// <param name="files">In ascending order of address. They are the memory's once it has been allocated, and the giver's before.</param>
internal sealed class HandedMemory(IReadOnlyList<FileDescriptor> files)
{
    /// <summary>What stands in the way of handing memory over; null if nothing does.</summary>
    public static string? Obstacle(IReadOnlyList<RamPiece> plan)
    {
        foreach (RamPiece piece in plan)
        {
            string what = piece.ZoneId is { } zone ? $"memory zone {zone}" : "memory";
            if (!piece.Shared)
            {
                return $"{what}: only memory that processes share can be handed over: it needs shared=on from the boot on";
            }

            if (piece.File is { } folder && Directory.Exists(folder))
            {
                return $"{what}: it lies in a file without a name in {folder}, which cannot be handed over; leave file out, and it can";
            }
        }

        return null;
    }

    /// <summary>The descriptors to hand over, one for each region. They stay the memory's.</summary>
    /// <param name="memory">Made from a plan that has no <see cref="Obstacle"/>.</param>
    public static int[] Of(GuestMemory memory) => Array.ConvertAll(memory.Regions.ToArray(), r => r.BackingFd);

    /// <summary>The plan, with what was handed over in its places.</summary>
    /// <exception cref="GuestRamException">It is not what the plan needs.</exception>
    public IReadOnlyList<RamPiece> Place(IReadOnlyList<RamPiece> plan)
    {
        if (Obstacle(plan) is { } obstacle)
        {
            throw new GuestRamException(obstacle);
        }

        if (plan.Count != files.Count)
        {
            throw new GuestRamException($"memory: {files.Count} descriptors were handed over, and the configuration needs {plan.Count}");
        }

        return [.. plan.Select((p, i) => p with { Handed = files[i] })];
    }
}
