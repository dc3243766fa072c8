using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Cnvm.Arch;
using Cnvm.Arch.Acpi;
using static Cnvm.Devices.Platform.ClockPageLayout;

namespace Cnvm.Devices.Platform;

/// <summary>
/// The VMClock page (UAPI.13): programs in the guest that know their clock by the TSC see here that it was disrupted, and that they are
/// one of several that went on from the same snapshot. No time is told, because a guest may rely on one within the bounds of its error and
/// nobody here measures those; guests have kvmclock. On the thread of whoever builds the machine; guests read while it writes.
/// </summary>
public sealed class ClockPage
{
    private const string Name = "vmclock";
    private readonly IPhysicalMemory _memory;
    private readonly Action<ulong, int> _written;
    private readonly GenericEventDevice _events;
    private uint _sequence;
    private ulong _disruptions;
    private ulong _generations;

    /// <param name="memory">Guest RAM.</param>
    /// <param name="written">Told of address and length of what is written there.</param>
    /// <param name="events">What tells the guest.</param>
    /// <param name="address">Where the page lies; a multiple of 4096.</param>
    public ClockPage(IPhysicalMemory memory, Action<ulong, int> written, GenericEventDevice events, ulong address)
    {
        ArgumentNullException.ThrowIfNull(memory);
        _memory = memory;
        _written = written;
        _events = events;
        Address = address;
    }

    /// <summary>Where the page lies.</summary>
    public ulong Address { get; private set; }

    /// <summary>Fills the page of a machine that has not run yet.</summary>
    public void Initialize()
    {
        Span<byte> page = _memory.GetSpan(Address, ClockPageDevice.PageBytes);
        page.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(page[Magic..], MagicValue);
        BinaryPrimitives.WriteUInt32LittleEndian(page[Size..], ClockPageDevice.PageBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(page[ClockPageLayout.Version..], VersionValue);
        page[CounterId] = CounterInvalid;
        page[ClockStatus] = StatusUnknown;
        BinaryPrimitives.WriteUInt64LittleEndian(page[Flags..], HasGenerationCounter | HasNotification);
        _written(Address, ClockPageDevice.PageBytes);
    }

    /// <summary>
    /// Shows the guest that its counter may not go on as it went, and tells it to look. After interrupt controllers and vCPUs have been restored.
    /// </summary>
    /// <param name="isAnotherGeneration">It is one of possibly many that go on from a snapshot, and not the one that there is.</param>
    public void Disrupt(bool isAnotherGeneration)
    {
        _disruptions++;
        _generations += isAnotherGeneration ? 1UL : 0;

        // Guests on other processors see an odd number before anything else is new, and an even one after all of it. What they have written
        // there themselves counts for nothing.
        Span<byte> page = _memory.GetSpan(Address, ClockPageLayout.Bytes);
        ref uint sequence = ref MemoryMarshal.Cast<byte, uint>(page[Sequence..])[0];
        Volatile.Write(ref sequence, _sequence + 1);
        Interlocked.MemoryBarrier();
        Volatile.Write(ref MemoryMarshal.Cast<byte, ulong>(page[DisruptionMarker..])[0], _disruptions);
        Volatile.Write(ref MemoryMarshal.Cast<byte, ulong>(page[GenerationCounter..])[0], _generations);
        _sequence += 2;
        Volatile.Write(ref sequence, _sequence);
        _written(Address, ClockPageLayout.Bytes);
        _events.Notify(GedEvents.ClockChanged);
    }

    public ClockPageState Save() => new(Address, _sequence, _disruptions, _generations);

    /// <exception cref="DeviceStateException">No page can be there, or an update was under way.</exception>
    public void Restore(ClockPageState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        if ((state.Sequence & 1) != 0)
        {
            throw new DeviceStateException(Name, nameof(state.Sequence), $"{state.Sequence} is odd");
        }

        if (state.Address % ClockPageDevice.PageBytes != 0)
        {
            throw new DeviceStateException(Name, nameof(state.Address), $"0x{state.Address:x} is no page");
        }

        try
        {
            _ = _memory.GetSpan(state.Address, ClockPageDevice.PageBytes);
        }
        catch (GuestAddressException)
        {
            throw new DeviceStateException(Name, nameof(state.Address), $"0x{state.Address:x} is not in RAM");
        }

        Address = state.Address;
        _sequence = state.Sequence;
        _disruptions = state.Disruptions;
        _generations = state.Generations;
    }
}
