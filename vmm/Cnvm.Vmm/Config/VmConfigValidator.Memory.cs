namespace Cnvm.Vmm.Config;

public sealed partial class VmConfigValidator
{
    private const ulong PageSize = 4096;

    /// <summary>Below this not even the boot structures and a small payload fit.</summary>
    private const ulong MinMemory = 2UL << 20;

    /// <summary>Address space of a machine of the contract's default width that is not RAM: the hole below 4 GiB and 64-bit MMIO.</summary>
    private const ulong ReservedAddressSpace = 4UL << 30;

    private void CheckMemory()
    {
        MemoryConfig memory = _config.Memory;
        if (memory.Zones is { Count: > 0 } zones)
        {
            CheckZones(memory, zones);
        }
        else
        {
            CheckSize("memory.size", memory.Size);
            CheckHugepages("memory", memory.Hugepages, memory.HugepageSize, memory.Size);
        }

        CheckHotplug(memory);
        ulong total = memory.TotalBytes;
        if (total > 0 && memory.MappedBytes < MinMemory)
        {
            Add("memory.size", $"{memory.MappedBytes} bytes at boot are not enough for any guest; at least {MinMemory} are needed");
        }

        int bits = Math.Clamp(_config.Cpus.MaxPhysBits, MinPhysBits, MaxPhysBits);
        ulong limit = (1UL << bits) - Math.Min(ReservedAddressSpace, 1UL << (bits - 1));
        if (total > limit)
        {
            Add("memory.size", $"{total} bytes do not fit into {bits} bits of physical address (cpus.max_phys_bits)");
        }
        else if (memory.HotplugWindow > limit - memory.MappedBytes)
        {
            Add("memory.hotplug_size", $"{memory.HotplugSize} bytes beside memory.size do not fit into {bits} bits of physical address (cpus.max_phys_bits)");
        }
    }

    private void CheckHotplug(MemoryConfig memory)
    {
        if (memory.HotpluggedSize is not > 0)
        {
            return;
        }

        const string Field = "memory.hotplugged_size";
        ulong plugged = memory.HotpluggedSize.Value;
        if (plugged > (memory.HotplugSize ?? 0))
        {
            Add(Field, $"{plugged} bytes are more than memory.hotplug_size ({memory.HotplugSize ?? 0})");
        }
        else if (memory.Zones is { Count: > 0 })
        {
            Add(Field, "is not possible with memory.zones: memory is added to machines without zones only");
        }
        else if (plugged % MemoryConfig.HotplugBlock != 0)
        {
            Add(Field, $"{plugged} bytes are not a multiple of {MemoryConfig.HotplugBlock >> 20} MiB");
        }
        else if (memory.HugepageSize is { } page && plugged % page != 0)
        {
            Add(Field, $"{plugged} bytes are not a multiple of the huge page size {page}");
        }
        else if (plugged >= memory.Size)
        {
            Add(Field, $"{plugged} bytes are a part of memory.size ({memory.Size}), which must be more");
        }
    }

    private void CheckZones(MemoryConfig memory, IReadOnlyList<MemoryZoneConfig> zones)
    {
        if (memory.Size != 0)
        {
            Add("memory.size", "must be 0 when memory.zones are given: the zones say how much there is");
        }

        // These describe the one plain mapping, which does not exist beside zones; each zone says its own.
        RefuseWithZones(memory.Shared, "shared");
        RefuseWithZones(memory.Hugepages, "hugepages");
        RefuseWithZones(memory.HugepageSize is not null, "hugepage_size");
        RefuseWithZones(memory.Prefault, "prefault");
        RefuseWithZones(memory.Reserve, "reserve");
        RefuseWithZones(memory.Mergeable, "mergeable");

        var ids = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < zones.Count; i++)
        {
            MemoryZoneConfig zone = zones[i];
            string field = $"memory.zones[{i}]";
            CheckZoneId($"{field}.id", zone.Id, ids);
            CheckSize($"{field}.size", zone.Size);
            CheckHugepages(field, zone.Hugepages, zone.HugepageSize, zone.Size);
            if (zone.File is not null && zone.Hugepages)
            {
                Add($"{field}.hugepages", "is not possible with file: put the file on a hugetlbfs mount instead");
            }

            if (zone.File is "")
            {
                Add($"{field}.file", "is empty: give a path or leave it out");
            }

            Refuse(zone.HostNumaNode is not null, $"{field}.host_numa_node", "host NUMA binding is");
            Refuse(zone.HotplugSize is > 0, $"{field}.hotplug_size", "memory hotplug is");
            Refuse(zone.HotpluggedSize is > 0, $"{field}.hotplugged_size", "memory hotplug is");
        }
    }

    private void RefuseWithZones(bool given, string key)
    {
        if (given)
        {
            Add($"memory.{key}", "must be said of each of memory.zones, not of memory, when zones are given");
        }
    }

    private void CheckZoneId(string field, string id, HashSet<string> ids)
    {
        if (id.Length == 0)
        {
            Add(field, "is empty");
        }
        else if (!ids.Add(id))
        {
            Conflict(field, $"'{id}' is used by an earlier zone");
        }
    }

    private void CheckSize(string field, ulong size)
    {
        if (size == 0)
        {
            Add(field, "is 0");
        }
        else if (size % PageSize != 0)
        {
            Add(field, $"{size} bytes are not a multiple of {PageSize}");
        }
    }

    private void CheckHugepages(string field, bool hugepages, ulong? hugepageSize, ulong size)
    {
        if (hugepageSize is not { } pageSize)
        {
            return;
        }

        if (!hugepages)
        {
            Add($"{field}.hugepage_size", "means something only with hugepages on");
        }
        else if (!IsPowerOfTwo(pageSize) || pageSize <= PageSize)
        {
            Add($"{field}.hugepage_size", $"{pageSize} is not the size of a huge page: a power of two above {PageSize}");
        }
        else if (size % pageSize != 0)
        {
            Add($"{field}.size", $"{size} bytes are not a multiple of the huge page size {pageSize}");
        }
    }
}
