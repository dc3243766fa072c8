using Cnvm.Vmm.Config;

namespace Cnvm.Vmm;

// RAM that a running guest gets.
public sealed partial class VmmService
{
    /// <summary>The memory's configuration with another size. A machine that runs only gets more, which is then in its slots.</summary>
    /// <exception cref="ConfigException">A machine that runs cannot have it.</exception>
    private MemoryConfig WithSize(MemoryConfig memory, ulong desired)
    {
        if (_machine is not { } machine || desired == memory.TotalBytes)
        {
            return memory with { Size = _machine is null ? desired : memory.Size };
        }

        const string Field = "desired_ram";
        ulong hugePage = memory.HugepageSize ?? 0;
        ulong room = memory.HotplugSize ?? 0;
        ulong plugged = memory.HotpluggedSize ?? 0;
        if (memory.Zones is { Count: > 0 })
        {
            throw new ConfigException(Field, "the VM's RAM is memory.zones, which cannot be resized while it runs");
        }

        if (desired < memory.Size)
        {
            throw new ConfigException(
                Field, $"{desired} bytes are less than the VM has ({memory.Size}): RAM of a running VM only grows; a balloon (desired_balloon) takes some back");
        }

        ulong added = desired - memory.Size;
        if (added % MemoryConfig.HotplugBlock != 0)
        {
            throw new ConfigException(
                Field, $"{desired} bytes are {added} more than the VM has ({memory.Size}); what is added must be a multiple of {MemoryConfig.HotplugBlock >> 20} MiB");
        }

        if (hugePage != 0 && added % hugePage != 0)
        {
            throw new ConfigException(Field, $"{added} bytes more are not a multiple of the huge page size {hugePage}");
        }

        if (machine.MemoryObstacle() is { } obstacle)
        {
            throw new ConfigException(Field, obstacle);
        }

        return added <= room - Math.Min(plugged, room)
            ? memory with { Size = desired, HotpluggedSize = plugged + added }
            : throw new ConfigException(
                Field, $"{desired} bytes are too many: the VM booted with {memory.MappedBytes}, and memory.hotplug_size lets it have {room} more");
    }

    /// <summary>Gives a running guest what a new configuration has more.</summary>
    private void AddMemory(MemoryConfig from, MemoryConfig to)
    {
        if (_machine is { } machine && to.Size > from.Size)
        {
            try
            {
                machine.AddMemory(to, to.Size - from.Size);
            }
            catch (Exception e) when (IsHostFailure(e))
            {
                throw new VmmException(VmmErrorKind.Internal, "The VM could not get more RAM; it has what it had", e);
            }
        }
    }
}
