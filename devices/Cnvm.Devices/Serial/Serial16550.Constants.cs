namespace Cnvm.Devices.Serial;

/// <content>Registers and bits (PC16550D §8.1 to §8.7).</content>
public sealed partial class Serial16550
{
    // Offsets; the divisor latch hides the first two while LCR bit 7 is set.
    private const int Data = 0;
    private const int InterruptEnable = 1;
    private const int InterruptIdentOrFifo = 2;
    private const int LineControl = 3;
    private const int ModemControl = 4;
    private const int LineStatus = 5;
    private const int ModemStatus = 6;

    private const byte IerReceive = 1 << 0;
    private const byte IerTransmitEmpty = 1 << 1;
    private const byte IerLineStatus = 1 << 2;
    private const byte IerModemStatus = 1 << 3;
    private const byte IerMask = 0x0f;

    private const byte IirNone = 0x01;
    private const byte IirModemStatus = 0x00;
    private const byte IirTransmitEmpty = 0x02;
    private const byte IirReceive = 0x04;
    private const byte IirLineStatus = 0x06;
    private const byte IirTimeout = 0x0c;
    private const byte IirFifoEnabled = 0xc0;

    private const byte FcrEnable = 1 << 0;
    private const byte FcrClearReceive = 1 << 1;
    private const byte FcrClearTransmit = 1 << 2;
    private const byte FcrKept = 0b1100_1001;
    private const int FcrTriggerShift = 6;

    private const byte LcrDivisorAccess = 1 << 7;

    private const byte McrDtr = 1 << 0;
    private const byte McrRts = 1 << 1;
    private const byte McrOut1 = 1 << 2;
    private const byte McrOut2 = 1 << 3;
    private const byte McrLoopback = 1 << 4;
    private const byte McrMask = 0x1f;

    private const byte LsrDataReady = 1 << 0;
    private const byte LsrOverrun = 1 << 1;
    private const byte LsrErrors = 0x1e;
    private const byte LsrTransmitHoldingEmpty = 1 << 5;
    private const byte LsrTransmitterEmpty = 1 << 6;

    private const byte MsrDelta = 0x0f;
    private const byte MsrTrailingRing = 1 << 2;
    private const byte MsrCts = 1 << 4;
    private const byte MsrDsr = 1 << 5;
    private const byte MsrRing = 1 << 6;
    private const byte MsrCarrier = 1 << 7;

    // 9600 baud of a 1.8432 MHz clock, as a PC's firmware leaves it.
    private const ushort DefaultDivisor = 12;
}
