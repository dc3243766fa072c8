namespace Cnvm.Vmm.Migration;

/// <summary>Messages of the migration protocol (PROTOCOL.md).</summary>
internal enum FrameType : ushort
{
    Hello = 1,
    Welcome = 2,
    Offer = 3,
    Accept = 4,
    Pages = 5,
    Zeros = 6,
    Round = 7,
    RoundDone = 8,
    State = 9,
    Ready = 10,
    Run = 11,
    Running = 12,
    Failed = 13,
    Cancel = 14,
    Answer = 15,
    Bye = 16,
    DiskData = 17,
    DiskZeros = 18,
    Memory = 19,
    Join = 20,
    Joined = 21,
    Deltas = 22,

    // Post-copy.
    Missing = 32,
    Want = 33,
    LastPage = 34,
    Complete = 35,
    Continue = 36,
    Continued = 37,
}
