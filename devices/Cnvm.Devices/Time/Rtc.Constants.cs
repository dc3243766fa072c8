namespace Cnvm.Devices.Time;

/// <content>Registers and bits (MC146818 datasheet, "Address Map", "Registers").</content>
public sealed partial class Rtc
{
    private const int CmosSize = 128;
    private const byte IndexMask = 0x7f;

    // Bit 7 of the index port keeps NMIs from the processor on a PC.
    private const byte NmiDisable = 0x80;

    private const int Seconds = 0x00;
    private const int SecondsAlarm = 0x01;
    private const int Minutes = 0x02;
    private const int MinutesAlarm = 0x03;
    private const int Hours = 0x04;
    private const int HoursAlarm = 0x05;
    private const int DayOfWeek = 0x06;
    private const int DayOfMonth = 0x07;
    private const int Month = 0x08;
    private const int Year = 0x09;
    private const int RegisterA = 0x0a;
    private const int RegisterB = 0x0b;
    private const int RegisterC = 0x0c;
    private const int RegisterD = 0x0d;
    private const int ShutdownStatus = 0x0f;
    private const int Century = 0x32;

    private const byte AUpdateInProgress = 1 << 7;
    private const byte ADividerMask = 0x70;
    private const byte ADividerReset = 0x60;
    private const byte ARateMask = 0x0f;
    private const byte DividerNormal = 0x20;
    private const byte DefaultRate = 0x06;

    private const byte BSet = 1 << 7;
    private const byte BPeriodic = 1 << 6;
    private const byte BAlarm = 1 << 5;
    private const byte BUpdate = 1 << 4;
    private const byte BSquareWave = 1 << 3;
    private const byte BBinary = 1 << 2;
    private const byte B24Hour = 1 << 1;

    private const byte CInterrupt = 1 << 7;
    private const byte CPeriodic = 1 << 6;
    private const byte CAlarm = 1 << 5;
    private const byte CUpdate = 1 << 4;

    private const byte DValid = 1 << 7;

    private const byte PmFlag = 0x80;
    private const byte AlarmAny = 0xc0;

    // "Update cycle": the flag rises 244 µs before the time changes.
    private const long UpdateTicks = 2440;

    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const ulong NanosecondsPerTick = 100;
    private const ulong CrystalFrequency = 32_768;
    private const long SecondsPerDay = 86_400;

    // Ticks of 100 ns from 0001-01-01 to the end of 9999, in which every date of the guest lies.
    private const long LastTick = 3_155_378_975_999_999_999;
    private const long LongestOffset = LastTick;
}
