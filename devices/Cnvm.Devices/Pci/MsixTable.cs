using Cnvm.Arch;
using Cnvm.Devices.Bus;
using Cnvm.Devices.Interrupts;

namespace Cnvm.Devices.Pci;

/// <summary>
/// MSI-X table and pending bit array of one function (PCI Local Bus 3.0 §6.8.2). <see cref="Table"/> and <see cref="Pba"/> are
/// the two regions that the function puts into its BARs. Owns its vectors. Any thread.
/// </summary>
public sealed class MsixTable : IDisposable
{
    public const int MaxVectors = 2048;

    /// <summary>Bytes of one table entry.</summary>
    public const int EntrySize = 16;

    private const uint ControlMask = 1;

    private readonly Entry[] _entries;
    private volatile bool _enabled;
    private volatile bool _functionMasked;

    /// <param name="count">1 to 2048.</param>
    /// <param name="controller">Makes one vector for each entry, now: the hot path and the guest never need to.</param>
    public MsixTable(int count, IMsiController controller)
    {
        ArgumentNullException.ThrowIfNull(controller);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, MaxVectors);
        _entries = new Entry[count];
        try
        {
            for (int i = 0; i < count; i++)
            {
                _entries[i] = new Entry(controller.CreateVector());
            }
        }
        catch
        {
            Dispose();
            throw;
        }

        Table = new TableRegion(this);
        Pba = new PbaRegion(this);
    }

    public int Count => _entries.Length;

    /// <summary>Bytes that the table takes in its BAR.</summary>
    public ulong TableSize => (ulong)Count * EntrySize;

    /// <summary>Bytes that the pending bits take in their BAR: whole quadwords.</summary>
    public ulong PbaSize => (ulong)((Count + 63) / 64) * 8;

    public IIoDevice Table { get; }

    public IIoDevice Pba { get; }

    /// <summary>The guest enabled MSI-X; while false, the function uses its interrupt pin if it has one.</summary>
    public bool IsEnabled => _enabled;

    /// <summary>
    /// Raises a vector: a message now, or its pending bit while it is masked. False if MSI-X is off or there is no such vector;
    /// nothing has happened then.
    /// </summary>
    public bool Signal(int index)
    {
        if ((uint)index >= (uint)_entries.Length || !_enabled)
        {
            return false;
        }

        Entry entry = _entries[index];

        // The lock keeps a mask from falling between the check and the signal, which would lose the interrupt.
        lock (entry)
        {
            if (entry.IsDeliverable)
            {
                entry.Vector.Signal();
            }
            else
            {
                entry.IsPending = true;
            }
        }

        return true;
    }

    /// <summary>The vector behind an entry, for back ends that raise it through its eventfd. Still owned by the table.</summary>
    public IMsiVector GetVector(int index) => _entries[index].Vector;

    /// <summary>Takes the two bits of the capability's message control (PCI Local Bus 3.0 §6.8.2.3).</summary>
    public void SetControl(bool enabled, bool functionMasked)
    {
        _enabled = enabled;
        _functionMasked = functionMasked;
        foreach (Entry entry in _entries)
        {
            lock (entry)
            {
                Apply(entry);
            }
        }
    }

    /// <summary>Power-on state: every entry masked and empty, nothing pending, MSI-X off.</summary>
    public void Reset()
    {
        foreach (Entry entry in _entries)
        {
            lock (entry)
            {
                entry.Address = 0;
                entry.Data = 0;
                entry.Control = ControlMask;
                entry.IsPending = false;
            }
        }

        SetControl(enabled: false, functionMasked: false);
    }

    public MsixTableState Save()
    {
        MsixEntryState[] saved = new MsixEntryState[_entries.Length];
        for (int i = 0; i < saved.Length; i++)
        {
            Entry entry = _entries[i];
            lock (entry)
            {
                saved[i] = new MsixEntryState(entry.Address, entry.Data, entry.Control, entry.IsPending);
            }
        }

        return new MsixTableState { Entries = saved };
    }

    /// <summary>
    /// Takes saved entries; <see cref="SetControl"/> then makes them live. A message that was pending and is deliverable now is sent.
    /// </summary>
    /// <exception cref="DeviceStateException">Another number of entries.</exception>
    public void Restore(MsixTableState state, string device)
    {
        Validate(state, device);
        for (int i = 0; i < _entries.Length; i++)
        {
            Entry entry = _entries[i];
            MsixEntryState saved = state.Entries[i];
            lock (entry)
            {
                entry.Address = saved.Address;
                entry.Data = saved.Data;
                entry.Control = saved.Control & ControlMask;
                entry.IsPending = saved.IsPending;
            }
        }
    }

    public void Dispose()
    {
        foreach (Entry? entry in _entries)
        {
            entry?.Vector.Dispose();
        }
    }

    internal void Validate(MsixTableState state, string device)
    {
        ArgumentNullException.ThrowIfNull(state);
        if (state.Entries is null || state.Entries.Length != _entries.Length)
        {
            throw new DeviceStateException(
                device, nameof(MsixTableState.Entries), $"has {state.Entries?.Length ?? 0} vectors, the device {_entries.Length}");
        }
    }

    private void Apply(Entry entry)
    {
        entry.IsDeliverable = _enabled && !_functionMasked && (entry.Control & ControlMask) == 0;

        // A message goes to local APICs (0xFEExxxxx, SDM vol. 3 §11.11.1); a guest that aims elsewhere sends nothing.
        bool isForApic = MsiAddress.IsForApic(entry.Address);
        entry.Vector.SetMessage(entry.IsDeliverable && isForApic ? new MsiMessage(MsiAddress.FromGuest(entry.Address), entry.Data) : null);
        if (entry.IsDeliverable && entry.IsPending)
        {
            entry.IsPending = false;
            entry.Vector.Signal();
        }
    }

    private static uint ReadDword(Entry entry, int dword) => dword switch
    {
        0 => (uint)entry.Address,
        1 => (uint)(entry.Address >> 32),
        2 => entry.Data,
        _ => entry.Control,
    };

    private static void WriteDword(Entry entry, int dword, uint value)
    {
        switch (dword)
        {
            case 0:
                entry.Address = (entry.Address & 0xffff_ffff_0000_0000) | (value & ~3u);
                break;
            case 1:
                entry.Address = (entry.Address & 0xffff_ffff) | ((ulong)value << 32);
                break;
            case 2:
                entry.Data = value;
                break;
            default:
                entry.Control = value & ControlMask;
                break;
        }
    }

    /// <summary>One entry; itself the lock over its fields.</summary>
    private sealed class Entry(IMsiVector vector)
    {
        public readonly IMsiVector Vector = vector;
        public ulong Address;
        public uint Data;
        public uint Control = ControlMask;
        public bool IsPending;
        public bool IsDeliverable;
    }

    /// <summary>Aligned dwords and quadwords only, as §6.8.2 asks of software.</summary>
    private sealed class TableRegion(MsixTable table) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (Check(offset, data.Length) is var check && check != IoResult.Ok)
            {
                return check;
            }

            Entry entry = table._entries[offset / EntrySize];
            int dword = (int)(offset % EntrySize) / 4;
            lock (entry)
            {
                ulong value = ReadDword(entry, dword);
                if (data.Length == 8)
                {
                    value |= (ulong)ReadDword(entry, dword + 1) << 32;
                }

                IoData.Set(data, value);
            }

            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data)
        {
            if (Check(offset, data.Length) is var check && check != IoResult.Ok)
            {
                return check;
            }

            Entry entry = table._entries[offset / EntrySize];
            int dword = (int)(offset % EntrySize) / 4;
            ulong value = IoData.Get(data);
            lock (entry)
            {
                WriteDword(entry, dword, (uint)value);
                if (data.Length == 8)
                {
                    WriteDword(entry, dword + 1, (uint)(value >> 32));
                }

                table.Apply(entry);
            }

            return IoResult.Ok;
        }

        private IoResult Check(ulong offset, int length)
        {
            if (length is not (4 or 8))
            {
                return IoResult.InvalidSize;
            }

            if (offset % (ulong)length != 0)
            {
                return IoResult.Unaligned;
            }

            return offset < table.TableSize ? IoResult.Ok : IoResult.InvalidRegister;
        }
    }

    /// <summary>Read-only: a write changes nothing (§6.8.2.10).</summary>
    private sealed class PbaRegion(MsixTable table) : IIoDevice
    {
        public IoResult Read(ulong offset, Span<byte> data)
        {
            if (offset >= table.PbaSize || (ulong)data.Length > table.PbaSize - offset)
            {
                return IoResult.InvalidRegister;
            }

            int first = (int)offset * 8;
            for (int i = 0; i < data.Length; i++)
            {
                byte bits = 0;
                for (int bit = 0; bit < 8; bit++)
                {
                    int index = first + (i * 8) + bit;
                    if (index < table._entries.Length && Volatile.Read(ref table._entries[index].IsPending))
                    {
                        bits |= (byte)(1 << bit);
                    }
                }

                data[i] = bits;
            }

            return IoResult.Ok;
        }

        public IoResult Write(ulong offset, ReadOnlySpan<byte> data) => IoResult.Ok;
    }
}
