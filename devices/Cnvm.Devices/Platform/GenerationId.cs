using Cnvm.Arch;
using Cnvm.Arch.Acpi;

namespace Cnvm.Devices.Platform;

/// <summary>
/// A machine's generation identifier ("Virtual Machine Generation ID", Microsoft, 2012): 16 random bytes in its memory that change when
/// the machine goes on from a snapshot, so that two that did so do not share their random numbers. Linux reads it to reseed its
/// generator (drivers/virt/vmgenid.c). On the thread of whoever builds the machine.
/// </summary>
public sealed class GenerationId
{
    private const string Name = "vmgenid";
    private readonly IPhysicalMemory _memory;
    private readonly Action<ulong, int> _written;
    private readonly GenericEventDevice _events;

    /// <param name="memory">Guest RAM.</param>
    /// <param name="written">Told of address and length of what is written there.</param>
    /// <param name="events">What tells the guest.</param>
    /// <param name="address">Where the identifier lies; a multiple of 8.</param>
    public GenerationId(IPhysicalMemory memory, Action<ulong, int> written, GenericEventDevice events, ulong address)
    {
        ArgumentNullException.ThrowIfNull(memory);
        _memory = memory;
        _written = written;
        _events = events;
        Address = address;
    }

    /// <summary>Where the identifier lies.</summary>
    public ulong Address { get; private set; }

    /// <summary>Gives the machine an identifier; the guest does not run yet and is not told.</summary>
    /// <param name="id">16 random bytes.</param>
    public void Set(ReadOnlySpan<byte> id)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(id.Length, GenerationDevice.IdBytes);
        id.CopyTo(_memory.GetSpan(Address, GenerationDevice.IdBytes));
        _written(Address, GenerationDevice.IdBytes);
    }

    /// <summary>Gives the machine another identifier and tells the guest. After interrupt controllers and vCPUs have been restored.</summary>
    /// <inheritdoc cref="Set"/>
    public void Change(ReadOnlySpan<byte> id)
    {
        Set(id);
        _events.Notify(GedEvents.GenerationChanged);
    }

    public GenerationIdState Save() => new(Address);

    /// <exception cref="DeviceStateException">No identifier can be there.</exception>
    public void Restore(GenerationIdState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        try
        {
            _ = _memory.GetSpan(state.Address, GenerationDevice.IdBytes);
        }
        catch (GuestAddressException)
        {
            throw new DeviceStateException(Name, nameof(state.Address), $"0x{state.Address:x} is not in RAM");
        }

        Address = state.Address;
    }
}
