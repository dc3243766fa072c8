namespace Cnvm.Vmm.Config;

public sealed partial class VmConfigValidator
{
    /// <summary>Largest split virtqueue (virtio 1.2 §2.7).</summary>
    private const ushort MaxQueueSize = 32768;

    /// <summary>virtio 1.2 §5.2.6: the serial number's field.</summary>
    private const int MaxDiskSerial = 20;

    /// <summary>Slots on a bus; 0 is the host bridge's.</summary>
    private const byte MaxPciSlot = 31;

    /// <summary>IFNAMSIZ without the null byte.</summary>
    private const int MaxInterfaceName = 15;

    /// <summary>virtio 1.2 §5.1.4.1 with Cloud Hypervisor's lower limit, IPv6's smallest.</summary>
    private const ushort MinMtu = 1280;

    private void CheckDisks()
    {
        var paths = new Dictionary<string, (int Index, bool Readonly)>(StringComparer.Ordinal);
        for (int i = 0; i < (_config.Disks?.Count ?? 0); i++)
        {
            DiskConfig disk = _config.Disks![i];
            string field = $"disks[{i}]";
            CheckDisk(field, disk);
            if (string.IsNullOrEmpty(disk.Path) || disk.Path.Contains('\0'))
            {
                continue;
            }

            string path = Path.GetFullPath(disk.Path);
            if (!paths.TryAdd(path, (i, disk.Readonly)) && !(disk.Readonly && paths[path].Readonly))
            {
                Conflict($"{field}.path", $"{disk.Path} is disks[{paths[path].Index}] already; both would have to be readonly");
            }
        }
    }

    private void CheckDisk(string field, DiskConfig disk)
    {
        CheckVhostUserDisk(field, disk);
        CheckRateLimits(field, disk);
        CheckQueueAffinity(field, disk);
        Refuse(disk.ImageType == ImageType.FlatVmdk, $"{field}.image_type", $"{disk.ImageType} is");
        if (!disk.VhostUser && (string.IsNullOrEmpty(disk.Path) || disk.Path.Contains('\0')))
        {
            Add($"{field}.path", "is missing: give the path of the image");
        }

        if (disk.Serial is { } serial && (serial.Length > MaxDiskSerial || !IsPrintable(serial)))
        {
            Add($"{field}.serial", $"may have at most {MaxDiskSerial} printable ASCII characters");
        }

        if (disk.NumQueues == 0 || disk.NumQueues > QueueVcpus)
        {
            Add($"{field}.num_queues", $"{disk.NumQueues}; at least 1 and at most one for each of the {QueueVcpus} vCPUs");
        }

        CheckQueueSize($"{field}.queue_size", disk.QueueSize);
    }

    private void CheckQueueAffinity(string field, DiskConfig disk)
    {
        var seen = new HashSet<ushort>();
        for (int i = 0; i < (disk.QueueAffinity?.Count ?? 0); i++)
        {
            VirtQueueAffinity affinity = disk.QueueAffinity![i];
            if (affinity.QueueIndex >= disk.NumQueues)
            {
                Add($"{field}.queue_affinity[{i}].queue_index", $"there is no queue {affinity.QueueIndex}; the disk has {disk.NumQueues}");
            }
            else if (!seen.Add(affinity.QueueIndex))
            {
                Add($"{field}.queue_affinity[{i}].queue_index", $"queue {affinity.QueueIndex} is listed twice");
            }

            if (affinity.HostCpus.Count == 0 || affinity.HostCpus.Any(c => c > MaxHostCpu))
            {
                Add($"{field}.queue_affinity[{i}].host_cpus", $"needs host CPUs, each up to {MaxHostCpu}");
            }
        }
    }

    private void CheckNets()
    {
        var taps = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < (_config.Net?.Count ?? 0); i++)
        {
            NetConfig net = _config.Net![i];
            string field = $"net[{i}]";
            CheckNet(field, net);
            if (net.Tap is not null && !taps.Add(net.Tap))
            {
                Conflict($"{field}.tap", $"'{net.Tap}' is used by an earlier interface");
            }
        }
    }

    private void CheckNet(string field, NetConfig net)
    {
        CheckVhostUserNet(field, net);
        CheckStreamNet(field, net);
        CheckRateLimiter($"{field}.rate_limiter_config", net.RateLimiterConfig);
        if (net.Tap is { } tap && (tap.Length is 0 or > MaxInterfaceName || tap.AsSpan().ContainsAny("/ \t\n\0")))
        {
            Add($"{field}.tap", $"'{tap}' is not an interface name: 1 to {MaxInterfaceName} characters without slash or space");
        }

        CheckNetAddresses(field, net);
        if (net.Mtu is < MinMtu)
        {
            Add($"{field}.mtu", $"{net.Mtu} is below {MinMtu}");
        }

        if (net.NumQueues < 2 || net.NumQueues % 2 != 0)
        {
            Add($"{field}.num_queues", $"{net.NumQueues} is not an even number from 2: a receive and a transmit queue for each pair");
        }
        else if (net.NumQueues / 2 > QueueVcpus)
        {
            Add($"{field}.num_queues", $"{net.NumQueues / 2} queue pairs for {QueueVcpus} vCPUs; at most one each");
        }

        if (net.Fds is { } fds && fds.Count * 2 != net.NumQueues)
        {
            Add($"{field}.num_queues", $"{net.NumQueues} must be twice the number of descriptors ({fds.Count})");
        }

        CheckQueueSize($"{field}.queue_size", net.QueueSize);
    }

    private void CheckNetAddresses(string field, NetConfig net)
    {
        if (net.Mac is not null && !IsUnicastMac(net.Mac))
        {
            Add($"{field}.mac", $"'{net.Mac}' is not a unicast MAC address such as 2e:89:a8:e4:bf:0d");
        }

        if (net.HostMac is not null && !IsUnicastMac(net.HostMac))
        {
            Add($"{field}.host_mac", $"'{net.HostMac}' is not a unicast MAC address such as 2e:89:a8:e4:bf:0d");
        }

        int? ipLength = AddressLength(field, "ip", net.Ip);
        int? maskLength = AddressLength(field, "mask", net.Mask);
        if (ipLength is not null && maskLength is not null && ipLength != maskLength)
        {
            Add($"{field}.mask", "is not of the same family as ip");
        }
    }

    /// <summary>Bytes of the address in a field: 4, 16, or null if the field is not given or wrong.</summary>
    private int? AddressLength(string field, string key, string? value)
    {
        if (value is null)
        {
            return null;
        }

        if (!System.Net.IPAddress.TryParse(value, out System.Net.IPAddress? address))
        {
            Add($"{field}.{key}", $"'{value}' is not an IP address");
            return null;
        }

        return address.GetAddressBytes().Length;
    }

    private void CheckQueueSize(string field, ushort size)
    {
        if (size < 2 || size > MaxQueueSize || !IsPowerOfTwo(size))
        {
            Add(field, $"{size} is not a power of two from 2 to {MaxQueueSize}");
        }
    }

    private void CheckPciDevices()
    {
        var ids = new HashSet<string>(StringComparer.Ordinal);
        var slots = new HashSet<(ushort, byte)>();
        var counts = new Dictionary<ushort, int> { [0] = (_config.Pvpanic ? 1 : 0) + (_config.Watchdog ? 1 : 0) };
        foreach ((string field, IPciDeviceConfig device) in _config.NamedPciDevices())
        {
            CheckId($"{field}.id", device.Id, ids);
            Refuse(device.Iommu, $"{field}.iommu", "the virtual IOMMU is");
            if (device.PciSegment >= _config.PciSegmentCount)
            {
                Add($"{field}.pci_segment", $"there is no segment {device.PciSegment}; platform.num_pci_segments is {_config.PciSegmentCount}");
            }

            // A console that is off is no device.
            if (device is not ConsoleConfig { Mode: ConsoleMode.Off })
            {
                counts[device.PciSegment] = counts.GetValueOrDefault(device.PciSegment) + 1;
                if (counts[device.PciSegment] == MaxPciSlot + 1)
                {
                    Add(field, $"segment {device.PciSegment} has no slot left; it has {MaxPciSlot}");
                }
            }

            if (device.PciDeviceId is 0 or > MaxPciSlot)
            {
                Add($"{field}.pci_device_id", $"{device.PciDeviceId} is not between 1 and {MaxPciSlot}");
            }
            else if (device.PciDeviceId is { } slot && !slots.Add((device.PciSegment, slot)))
            {
                Conflict($"{field}.pci_device_id", $"slot {slot} of segment {device.PciSegment} is used by an earlier device");
            }
        }
    }

    private void CheckId(string field, string? id, HashSet<string> ids)
    {
        if (id is null)
        {
            return;
        }

        if (id.Length == 0)
        {
            Add(field, "is empty: give a name or leave it out");
        }
        else if (id.StartsWith(DeviceNames.ReservedPrefix, StringComparison.Ordinal))
        {
            Add(field, $"'{id}' starts with {DeviceNames.ReservedPrefix}, which is kept for the machine's own devices");
        }
        else if (!ids.Add(id))
        {
            Conflict(field, $"'{id}' is used by an earlier device");
        }
    }

    private static bool IsPrintable(string text)
    {
        foreach (char c in text)
        {
            if (c is < ' ' or > '~')
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Six two-digit hexadecimal bytes with colons; the multicast bit clear and not all zero.</summary>
    private static bool IsUnicastMac(string text)
    {
        const int Length = 17;
        if (text.Length != Length)
        {
            return false;
        }

        bool nonZero = false;
        for (int i = 0; i < Length; i++)
        {
            bool colon = i % 3 == 2;
            if (colon ? text[i] != ':' : !char.IsAsciiHexDigit(text[i]))
            {
                return false;
            }

            nonZero |= !colon && text[i] != '0';
        }

        // The low bit of the first byte's second digit marks a group address.
        return nonZero && (Convert.ToInt32(text[..2], 16) & 1) == 0;
    }
}
