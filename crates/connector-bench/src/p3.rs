//! P3: sealing and opening 1 KiB, compared with the sum of the necessary parts of the envelope.
//!
//! The parts are 44 random bytes, HKDF with the key schedule of AES-256, and ring's AEAD with an
//! existing key, in place, with associated data of the same length.

use std::cell::Cell;
use std::hint::black_box;

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use connector_core::cipher::{Keyring, SealContext, SealedKind};
use connector_core::store::{Fence, GrantNumber};
use connector_core::{AppKey, ProviderId, TenantId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::rand::SecureRandom as _;
use ring::{hkdf, rand};

use crate::Outcome;
use crate::turns::{Candidate, Figures, take_turns};

const TURNS: u32 = 201;
const OPERATIONS: u32 = 1_000;
const TARGET: f64 = 1.25;
const PLAINTEXT: usize = 1_024;

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Derives what the envelope needs per record: 64 bytes by HKDF, and an AEAD key.
fn derive(salt: &[u8], info: &[u8]) -> Result<(LessSafeKey, [u8; 64]), ring::error::Unspecified> {
    let mut okm = [0; 64];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(&[0x11; 32])
        .expand(&[info], Length(okm.len()))?
        .fill(&mut okm)?;
    let key = UnboundKey::new(&AES_256_GCM, &okm[..32])?;
    Ok((LessSafeKey::new(key), okm))
}

#[expect(clippy::too_many_lines, reason = "the compared code is kept together")]
pub(crate) fn measure() -> Outcome {
    let keyring = Keyring::parse(&Keyring::generate()?)?;
    let tenant = TenantId::new("tenant-1")?;
    let provider = ProviderId::from_static("shopify");
    let app = AppKey::default();
    let row = "0192f0c1-0000-7000-8000-000000000001";
    let place = SealContext {
        tenant: Some(&tenant),
        provider: &provider,
        app: &app,
        row,
        kind: SealedKind::Credential,
        grant: GrantNumber::new(1),
        fence: Fence::new(7),
    };
    let plaintext = vec![0x5A; PLAINTEXT];
    let sealed = keyring.seal_now(&place, &plaintext)?;

    let random = rand::SystemRandom::new();
    let salt = [0xA0; 32];
    // The label, the head of the envelope, and the tenant and the row with their lengths.
    let info = vec![0; 19 + 13 + 4 + tenant.as_str().len() + 4 + row.len()];
    let associated = vec![
        0;
        89 + 4 * 4
            + tenant.as_str().len()
            + provider.as_str().len()
            + app.as_str().len()
            + row.len()
            + 17
    ];
    let (ready, _) = derive(&salt, &info).map_err(|_| "ring refused to derive a key")?;
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let mut sealed_by_ring = plaintext.clone();
    ready
        .seal_in_place_append_tag(nonce(), Aad::from(&associated), &mut sealed_by_ring)
        .map_err(|_| "ring refused to seal")?;

    let peer = aes_gcm::Aes256Gcm::new(&[0x11; 32].into());
    let peer_nonce = aes_gcm::Nonce::from([0; 12]);
    let mut peer_buffer = plaintext.clone();
    let peer_tag = peer
        .encrypt_inout_detached(&peer_nonce, &associated, peer_buffer.as_mut_slice().into())
        .map_err(|_| "aes-gcm refused to seal")?;
    let sealed_by_peer = peer_buffer.clone();

    let mut ring_seal_buffer = plaintext.clone();
    let mut ring_open_buffer = sealed_by_ring.clone();
    let mut peer_open_buffer = sealed_by_peer.clone();
    let mut drawn = [0; 44];
    let failed = Cell::new(0_u64);
    let count = |ok: bool| failed.set(failed.get() + u64::from(!ok));

    let mut candidates = [
        Candidate::new("Keyring seal", || {
            count(black_box(keyring.seal_now(black_box(&place), black_box(&plaintext))).is_ok());
        }),
        Candidate::new("Keyring open", || {
            count(black_box(keyring.open_now(black_box(&place), black_box(&sealed))).is_ok());
        }),
        Candidate::new("part: 44 random bytes", || {
            count(random.fill(black_box(&mut drawn)).is_ok());
        }),
        Candidate::new("part: HKDF and key schedule", || {
            count(black_box(derive(black_box(&salt), black_box(&info))).is_ok());
        }),
        Candidate::new("part: ring seal, key ready", || {
            let tag = ready.seal_in_place_separate_tag(
                nonce(),
                Aad::from(black_box(&associated)),
                black_box(&mut ring_seal_buffer),
            );
            count(black_box(tag).is_ok());
        }),
        Candidate::new("part: ring open, key ready", || {
            ring_open_buffer.copy_from_slice(black_box(&sealed_by_ring));
            let opened = ready.open_in_place(
                nonce(),
                Aad::from(black_box(&associated)),
                &mut ring_open_buffer,
            );
            count(black_box(opened).is_ok());
        }),
        Candidate::new("peer: aes-gcm seal, key ready, nothing else", || {
            let tag = peer.encrypt_inout_detached(
                &peer_nonce,
                black_box(&associated),
                black_box(peer_buffer.as_mut_slice()).into(),
            );
            count(black_box(tag).is_ok());
        }),
        Candidate::new("peer: aes-gcm open, key ready, nothing else", || {
            peer_open_buffer.copy_from_slice(black_box(&sealed_by_peer));
            let opened = peer.decrypt_inout_detached(
                &peer_nonce,
                black_box(&associated),
                peer_open_buffer.as_mut_slice().into(),
                &peer_tag,
            );
            count(black_box(opened).is_ok());
        }),
    ];
    let names: Vec<&str> = candidates.iter().map(|one| one.name).collect();
    let figures = take_turns(&mut candidates, TURNS, OPERATIONS);
    drop(candidates);
    if failed.get() > 0 {
        return Err(format!("{} operations failed", failed.get()).into());
    }

    let [seal, open, draw, derive, ring_seal, ring_open, ..] = figures.as_slice() else {
        return Err("a candidate is missing".into());
    };
    let sums = [
        ("seal", seal, Figures::sum(&[draw, derive, ring_seal])),
        ("open", open, Figures::sum(&[derive, ring_open])),
    ];
    println!("{TURNS} turns of {OPERATIONS} operations each, ns per operation\n");
    println!("| What | min | median | max |\n|---|---|---|---|");
    for (name, figures) in names.iter().zip(&figures) {
        println!("| {name} | {} |", figures.cells());
    }
    for (what, _, sum) in &sums {
        println!("| sum of the parts of {what} | {} |", sum.cells());
    }
    println!("\n| Row | Ratio to the sum of its parts: min | median | max | Target | Met |");
    println!("|---|---|---|---|---|---|");
    for (what, ours, sum) in &sums {
        let ratio = ours.ratio_to(sum);
        println!(
            "| P3 {what} 1 KiB | {:.2} | {:.2} | {:.2} | {TARGET} | {} |",
            ratio.min(),
            ratio.median(),
            ratio.max(),
            if ratio.median() <= TARGET {
                "yes"
            } else {
                "no"
            }
        );
    }
    Ok(())
}
