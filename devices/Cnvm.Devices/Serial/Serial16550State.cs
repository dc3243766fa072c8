namespace Cnvm.Devices.Serial;

/// <summary>Registers and FIFO contents of a 16550A.</summary>
public sealed record Serial16550State
{
    public byte InterruptEnable { get; init; }

    public byte FifoControl { get; init; }

    public byte LineControl { get; init; }

    public byte ModemControl { get; init; }

    /// <summary>Error bits of the line status register, 4:1; the rest follows from the FIFOs.</summary>
    public byte LineErrors { get; init; }

    /// <summary>Delta bits of the modem status register, 3:0.</summary>
    public byte ModemDelta { get; init; }

    public byte Scratch { get; init; }

    public ushort Divisor { get; init; }

    /// <summary>The transmitter ran empty and the guest has not been told yet.</summary>
    public bool TransmitEmptyPending { get; init; }

    /// <summary>Bytes received and not read, oldest first, at most 16.</summary>
    public required byte[] ReceiveFifo { get; init; }

    /// <summary>Bytes written and not yet taken by the backend, oldest first, at most 16.</summary>
    public required byte[] TransmitFifo { get; init; }
}
