//! RSA signatures whose padding is not what the RFCs say: the kinds of Wycheproof's vectors for RSASSA-PKCS1-v1_5 and RSASSA-PSS (RFC
//! 8017 sections 8.2 and 9.1), each made with the lab's own private key, so that only the padding is wrong.

use crate::support::*;
use portcullis_edge_core::{Host, MemoryHost};
use portcullis_jwt::{Alg, KeySet, SetRules};
use serde_json::json;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// What is signed.
const SIGNED: &[u8] = b"eyJhbGciOiJSUzI1NiJ9.UGF5bG9hZA";

const GOOD_PKCS1: &str = "hod-uwb1RPJuXmFBtls2vEEZresdfR2sdDmsKosM0xE9bGyngxC0ZDP3WgKU5xPWa-jM5PtCm0LqCAxgdMB9jKY3IxlWVcvizpM2\
    7cDMvJJPeWhcPaoC4TtlCkPCT-Re6L0IclooqUHL8zuE_AashMeNNTUm_fEaKsqtzJfCHpQZFkt72Co2UV7gwsrj4wfY5W2EAd2N\
    L0rYPnN2zh2MwRAF2gin80AtEPqtelle-VsKpiIEDmjoPWTkDFS_lXrRLF7K_j-9cVOla7x-cnew4j36MIDRd881WxqwfK8MZDTe\
    D8GjGB-zGZAGChL2Pb9HnHPzySEZuxy9muquBZo69g";

/// Of RS256.
const PKCS1: &[(&str, &str)] = &[
    (
        "a digest without its NULL",
        "K4Xs-0LnUYZA59KH-pfBB9KMMKaUk3GIqfyJoJ1_WUs5_D5wBzjkW3AnHAzPu4qmiDTvPzfcxl08YHMYWG8Y-BtP\
         2CNaHrx1UidqBJA78WK0JXgTcHKx7qM1p1v8X-tL5zPgFwO8caeVakp-PIhes4sw-zEBxHo-LTEDkYWrJkYisAyr\
         rNQUdamhL5fP-2HBRAzDxcMv-LMMpFE3dC2-8J3rlpHk-YDmvNh76c9Q1omThghYOjW3JM5r0Oeol3gDILB5OsrS\
         uZJi6zCkHqsvj1xdf8Lgdh3lPz6D-5GdsaL6eGymYCZDxeYkuncq_RoUgvoaD9Yy3bkv-uc2jyZzhQ",
    ),
    (
        "a length in long form",
        "RoKzZ5iE94enrveokw6pNXz9WixsRMAvIu_Sg3_G-vhhBmT3CVRp72X8SDZICd3n91_AFzDJjXNssh1uRiqgNnyh\
         IXCaC_Dt2kI-9psFedUY1-qSQ4jSsYTU234sFk75tKsn7lc06P3RIgG8X_IH4y4KKSETOdtIbjcoXuKAZggQ68Ho\
         xucaVwN1ab4MnJvAco1idXQ-83Qd_zBD5RrSiG9GSLOUuFZjjaRney3LhCeiH7n5YXLZrp2edYQGeYxi774i8j7t\
         BLtI3Q0SSgmoxNx0FUbOyu4xSNy20AddH9JI0YpmO_VhhuzBfjkocZg5hnFumnxELFSSiMhVPe-Mhw",
    ),
    (
        "another hash: SHA-512",
        "HxTzhWv27ARzBfph3YfxJ7k5hcMr4aBBaHfjCtefX2kpUruW_opwbiOCPdaFJwY3GUm3nSDCRboku3Kd3ADEkY9Z\
         9M0DIOqdFhnZjuVBPKGdaWAFo8HkkqfsWI2Y2YIl77rE_O7iKtFPLrHCvTb-4if_M5kp2KJYwcyiTMgOXLwnQ8IY\
         7fUORUIDWCHKHa6Mv3R4ytn0NAOvGP9rhQWcX3hwn7bBnaLa1S68JKugLtCPuuht7Tz23Binv5fJWomMa5wAGw-3\
         Zzq54o3-ukrMt4ab6azDt2YMGtn9U5teffZ_eYKEHQdDAzjS67eqpjaCIcujJ5WPv-g056rmoppB9w",
    ),
    (
        "another hash: SHA-1",
        "aY5EKDA7TuaDl7HqBmBqgesB3FlRjsQJJb6CutUwVvWN8F_XYoGOv6UFrsjQzqRkPkP_ajwjkrSjTGlzrgq3e-Ye\
         gGoqTvKe_63OgTI_SNMIXt9pgxcozlOphTon5TCmnwhuDFb8PqKDh38O61NHBz0cfr-v89J74jkpdGdGFMBTlPgs\
         vNZo9kPvQLI_H2Q4VmHhGGwbRlFPZNQVH5fclZm-fgR6yj6kAd1LLOGGj6oUfCu1PaGtlXCY28HUiJYZCTvoBCNJ\
         FxQZ4DnGvtTqR2oybcaxFqxnjP92cNXNBN0Z374tzgb5Pg5t7Wb3dVRYp0pO6xuDnaU9ZvzRdhG3MQ",
    ),
    (
        "no name of the hash",
        "gTdbMi2PJgbEq32OC4kmxNVvRlwGxXmcrCxcVceWVOIP90Wd_7xIo3F994rvMvR5dlJxJPQ_pqlkTEXURF3646n0\
         TBf08DL6jkKJalWuZrCAFtjshmKcACaqE6o-7jIPnlCufc_5RxSApnYIcHQzz-XS8RLq_yobN4tAjWie4BwwucGu\
         td_iTX2_5FNa7iZov1Ir6pmwTFSwCRViye18IlWy4FEcs19m3P4suZAN1TOGZrpBlIErDtB--PaypgApTJtRkRW3\
         RDVCZkGNFa7bMX6DFf1ew9r71LOwRAR6GxNaTE6UDaR9kXxiSpTZLj7n_nxOd5CjzQQ8ggAb-WdroQ",
    ),
    (
        "padding that is not all ones",
        "IQoLf2TCEqi5k_oHqeQTlseN0VdqKjIm9ppdqG0PY9WUpdQA9mKitHthP550r2biF4r2ylUsBdaEcK7e70IIKVqA\
         2J8WWEirpBLoDsKVRbNN7UmlAQp19fQ5BbIAN_jCQGG9Uv1tZK6472BrVvVWKKryPQTpomikHun21CEB95hMms-O\
         GzZUrr1fKZ5RXkrhk6SQN7YXbKhrRAmHQJakpuoZdVSw_UW16j4C5J_kMqRewXFE3xYK7owSnRjJrYnny8j8Lwf9\
         mAm1fsj_6gTvciZsRi4ahluxFFSpc9LgvMqjRtsM_LDRv2KPhzbclqsoadjlL8_NjFMhonoY9mkWgA",
    ),
    (
        "padding of eight ones, and garbage behind the digest (Bleichenbacher 2006)",
        "mzEW4oeP11FR0FH8941aepiUVf7UNcxG7Lvmqc0D65ujkwlMN0W8LmhrvWNrmcLUWPGZMsGSE8H3USNCU0KBvTb8\
         7OtMDNVBdFBzg0-bZ6VQluSYTLsAlR2HvlS--Ja7fNXK2ZDYOCs7lcpb6FaWkNDL71sK-Nd55KuADCtCN85Appn2\
         _OGYBtp8FxpG0797bGaBkvsigcC_2XrU4_JBqNTgusmy64M6NgLNS3WlTV5LXYr6r5zWh9J1FnCWYKklKHiOCEQR\
         ek5Ju9UTcpynHP-TzQetGXRT-xnrC9Ru72rINMsHZGi4gTmOhsJ0d2nE3GSxUYz-Zda6wEu925WliA",
    ),
    (
        "garbage in the parameters",
        "da8inuSRhs7398sZs-IblyPhwQfdSK-DWsD2Rh9h_F7hqnsdUR5xPE0zRpBkHcvauf_Kb5MaIfaUkbzsfi0D5GdZ\
         ERGf5c2F5fObRbkOSULLXyb3QTwZgpZKI4Z9jCXSK9YpFZeSAOkYIWTYhZMdVNmpVsys4Tntzw4l3SpCng_bqRhN\
         osKM_UPfuhm3mlVqIjGY2Q-xQO6NN1ElWvQ9mQPcjgVTt6gLVdA4HYNHJvzFNJeJyvetz_ma3VL7KnBDxuMEvuK5\
         QrAOLi2ozWw3eU9uOePn7qL7DgQjDlokbbn5Srs-pebMLUkq0-OcueLCISTQChjhBHSZxADxf29czg",
    ),
    (
        "block type 0",
        "CU5GMb6AXr9Edx2fajq_6hkWmw-uqOGUUZ5wjrSVxX6GXbNQJf60aFc9pL2on8-fOp3tKwkzX0X5W1JjcmKiYl1h\
         U6dp5GtCX1SZk6q7aiU7GqTCdahRur_c-1Ccze5vXdHfCtsdjQxDD5t-w0EvmLV7Ul47G5kTQKbL4y694uWGLJGO\
         A3aeUzMdJyUcfKNjAXa8XrNFyFVM-4zaN9ROLK6UsWziIJSeYdGuNb7WWt9fq0X2uZDrq1-TM7NUyXXKo9DrQd9d\
         ka-8IEbqJKT6h2m9vqMGh29uZDB3XlBmTGKiN5oCBcleyLIh5326T9qGkSrmI_trWeO41hNq_5EKEg",
    ),
    (
        "block type 2",
        "rQjFVBVQa9aEidz7gkQL-3DnqwR6jverTQ5xtoLOHdGBfgC_Q2Csv-5jQUd7wTvJNJxlBpUNkbT32eh-CkKV6X8N\
         sGQsxvmagwXHQMGdEI5lkn6dcgmmSt6tteGAP8GzrZeoxSE1qd0WpIbAbaoQoH3K9t5-EDObQrcf8u-xRx_JcgAy\
         q5Dsxtd9daDzsCOkLSQcnoZfcJ8jAgC1Pb3_m_uVke7B-iLAUpLpyCYE_QePP8rNeVEQr8iHZ6lqY8rMvFK5kw_B\
         JVfZRY5SxPgswS3J1Yv6582oQSNGCujekGPOo0wA9IZ5coaik8pFv5aFeH92CTFjyNM9xanAERXMEQ",
    ),
];

const GOOD_PSS: &str = "Cmwb7eSc6jMl-XWkM8wGQNisZcbCRxGnOw8VNuxKBhoHngZE5Ucf89-ZC1bZwpalP6X3JjM2SHMGm2QLL78Sh83SCrMWzM8A11w_\
    Q8-FPnIBDGkWl0HmnAyXR01NgHg-xS0FZJQd-jm1oX5n3YIsNeFPyUEH9BnEQra7W_7OKhJzymhOF-bQAe04jumHbdWKxEWGTmVd\
    qjoPgSrpo0lmyBWb0nhVkPcAQeiEZeQupVMOvIpxaWF4w5hnBZGkHHtlL2SFXHiUrDHt5J7JD9WYNH7BmO8y_-vBi4Q3ek4yuQvS\
    pRdrLYlWuOttrsx7fr0jlJ4-vPeJ0aKmaTnUJ-bykg";

/// Of PS256.
const PSS: &[(&str, &str)] = &[
    (
        "a salt of no bytes",
        "NzvJROSDDiXJ3XTZN0yITquZLKtaaRl6RqRAx0XN3rfauLWlu402NkG3gXmhyWvTtyB6pPJPi6CZLxmb0bfF5ml6\
         PP5Uqi28wJsuGngdNov--H3179qbRXP0JXMT9yflty3IZOw8VW7IMZdajUeUjMhfzChl8OBynPEFohnRv2b2S818\
         x5M_Hx82ofie7k4_KGzAtzrHCaNAkBhMCneeHNZ6I4Ej25_9arO097kjgQ9EWyJR2zg8AlM0044vEH18jJvTeH4W\
         KFALdfwNujssKTE6sJmMEGUnxQsR21YFYYdTnu5YoDbwiet1SzJM4A39MqYYTazvZN4i4UaSqo8pmA",
    ),
    (
        "a salt of 20 bytes",
        "cKZI1r4DZ5e9befycHu9FGaanuP_uoLSixXaEOxT1rx-VUxR8gCBeW-NUu6iVjn6yNKPFTV5ICcM8j-HBdz04467\
         k3gPlMaWvD8-yHef2BZVLWbrfBSAQX84a1m25yM3ptBb2k0opXAPUBJUGaVxYNCEE9p82qpqa0HSxxhbjFyNHq4m\
         pz3URk8rQonGVRLN5Pd8I8_dqMai1nIu10_pFxzUNumwt-K2VgECyEtAhNArjtcWggrLZu0Xh2EjNapt0435cStW\
         WKKJvP21ntwwUYGGgmg47W27hdE3-nStq1UXgQcc4PsCFEoFz4vGQNo7rcZsai24JODAu4Tb_ZqBwQ",
    ),
    (
        "a salt one byte short",
        "pmMAqR2UePrhpciAptHY1Fol7Ory54frgkrb9M5GvWOvYSR_epzgKd_Mi3Zg8qI_AQjEfSAu2GMXzAlxWNaIcjjW\
         GBn5uLGdobRuW_mkY6ha8-3Dx-lhoLIJDRv8vTEywxOvbCeVBulKKyAuij61Qns8_3TJQG8yoVBnDJok0ZbhLS0n\
         mZJwulFd5Tu6F8oIIjvOGNgQGMvxZ503m3M1ZDM1lHIWchtcEk_u3OvVIuNCu-mYwKUH2v2pF4CVcL7W6vNIgnVV\
         NLY_4avXVLp_sURVAWzRv-5gs9J_QVFbZ4Beq_it8Wf2WMflHRSgf7kzKdriPC6jB66_3HtCxA4szA",
    ),
    (
        "a salt one byte long",
        "BN2bjZhzoRjZvuuxc2ssdqltNKoSGOJwpdWhryZ_S_xsDFOq5D4ICwEhkD-Fuf0vLs5_v4DElYQX0RsUlIc5kvrt\
         ArdkUJusaa2bOzsUEqJFDZDleulQOjqHibudr3I4dB11Lc3T04WYV7hRwiG1WXNfcyMvPS568ro_R3_P36Ia-fSG\
         kqpRjEAZ1thxJhH6_ATqPGcZUvZ6K1OrgVXMcUE3RKEDW6JxRxEL4QUaM3bvqRYA7Qq7TJjPTzNVeLpOom9r636W\
         mIMfxjtAcIY8QvHR6Kmcxa1h3_p1x5cg-4CxQGs-UTnG5E0HXt3XCo987-eoS57BEX1BnnJYYKqBow",
    ),
    (
        "a salt of 64 bytes",
        "f7sZlkACSVr9hTjPrHftK3rAsm-7aY0HTHdaZn_otC_83MuR3MWJqvOlbqlUE-1PkH0p6qlei3V-M_BMq028nAI9\
         0AHCOzQxuCdpcvWrfUY5OY1--OlPpFKgFK-Aj1istbcaDlYQw4lCwS270zJagVZAd1wX4rDAqJnixlSDV8PFF6U2\
         n2G38X1DrippAQqP3wzKO4J3l_YMMVLB2zj2KOnxdpxbXblvM8nZtjSnXalkf0nxHr1qi8gp7oOx637th07gQH7A\
         H7Rq8J9s8Lw573gmTfdFPIcorxEvU-NgIIoPNFmhWiYyc1LbS7CLRpHdBS288xPB6G3aXiFA1FJCMg",
    ),
    (
        "the longest salt",
        "m7_tvs1Zj4cGBxojPbw0LzybC-2K7Jq0msobCJoiUhPPFskHFtjZvVzGtkEMnU1EDFDpg-YO4eUb29i8LRuute8t\
         3GJb4ZCaON0ghIVZwuVGn8lO3R4xt_EoX3amOk8qe_bgDDlw_7ghaAWTcEJDIS3yDOEt58axrzGe7cLBfWBBXI0n\
         YIGGjs2Lb5z_F9kQLSSmd8c_9kFOT4gptidvgoH3oO9WdM8eCFJgxosVU9fqAr8Z8rYqDEyH9wqqoj9StKyIVCBH\
         W4nmhW8eYsAhOZFhIJsMADwGqFkXCxM4dfqyGzJlPBGJQFoRwRhvjG-ngyM0mDaMqp5ZMYdEzi_P-Q",
    ),
    (
        "a mask made with SHA-1",
        "lGQHnxLHNpnRtZl0ZQ9OIVf4SGqm74AkOBfxDheIQuQqv84uCuHmfYHklNz6soFEcC_CcAyv7RKsN0nGl3At80_B\
         kU9wa5aDUcKHTHD9QkhIHaInZutpzXsX_8zkiIPsfLeJtiJfRrNH5ro4483eL8X25zZ-bA_ANhYgVYxOo3gH0GDJ\
         SmS4BLV9RcwwrGOJYuHJdNABI0o7w1P0YcCcdV_RpRna1yMmMTz1_HnG_wsJ0WVlbCT5pJctCYdopOD7En6Zry-J\
         NAAFc5Q4SUEH6kqKmVGVXE2ypwYBT06xLPqTXMlx4zqIimg-t0r520G7E4Q-louUktVKrMBnzMer3w",
    ),
    (
        "a mask made with SHA-512",
        "QLVLQmrA5h2Nlw6Ld78j3u4bac6tuKPi79oTsg8FYwa9hR5hVtv7JaCvxZvn4WkYP9RpFko46xj4ofR6Vaw6N3tN\
         wSt7_jQUlerDklhn5MmBVAAHwzl9PYf0GiHnmDwkjvpS67aaXEyRBf_m0Kscy_Eng1wIFVD6WIMvhlYd2Op3vVXq\
         wqjzjj-8oGSy3fTXASmxIEwNhR4Nk0VFDYEpClUHVAPuLH8H5B99IXt8UsiYZbwT6hUOgIZErxs6PvGYJQkIlodb\
         hVe_Y2OqnwbUmGizSFGcezDG5TcSSIobO2cNt7BdbHCx8BjFJZwD-mi2UU_yx_Ckk3l4hEvVUxN6XQ",
    ),
    (
        "another hash: SHA-1",
        "HzwzdgA4AWaQUmRvO49xoDOG-Q1UFM8E8Qmmj0Nu71swNpDG-hdwTJ5hDg-vBSyuY8rEkddg_f0gjlgsivs4GIAj\
         SKm9jGl71RMEHu2_9z054bCTRIXbqMjFKGLDAKbQCi1C0mg35Yn9Kj5AK_rzgQ7koONgXICfmY3uyatKQJeMGNbi\
         hiHGxXB-QW1aywBb8-9dTEIpGnn7qGyxEFqFJbdvBOkochFRx5oQcnnZr799azHAErf2GJJcrxrE0FMP2cipJhHY\
         JR1INCpqJ6YJVAs2BJBuI3vfCHi2fryqqEuL8HUbcElYbocgZ1JQ106AdcVxEjLrdEs-mR2XcENlrg",
    ),
    (
        "another hash: SHA-384",
        "QCr6oyOBnf8jxA3eCFjKvDoVHB5Um5LANJ25F_MpTlpZl4VciRBHKUj3nJjNpmdgkLnOMhddvppuOjMyBKLUn_PP\
         pl4C2-rtbdZbnG-qw4lEWqvBWuE2gqNq3gmIJQgvf7L8uu-C7y0ZXgn9x959W0U2Tqh8kj2JmIEBrTDr8Ns6hNTi\
         7Six17UiYFLGffgIVhQTRtVe1AG7o4DJ6OAwz8wJrsCxVY_MjgJHc44Zh3sR3oFs5DhEYcehv02TXXYeUWwiivj9\
         lCxExI0jX0jlFgXDG-rnTtt9MlJX1r38yEs1xAjNMFIy1vtlIjEMSzHT79J5wQHJVHimb7bW1J6cBQ",
    ),
    (
        "another trailer",
        "qNL5jXTaDAKIHeQA3g6IC9DruuCXj_aPJ22bwovVVhbF8Dp3-m6skYHLv0WsPZOkwwx4Yq-Ae_KBgTVTevO2RpXE\
         f2AVKe9Gx0yO1clUvz-6e2LfqVNg-ziI6uCD-Is_kebeZB_XEM0qsO7IHX6j3E1TeZhFcdhuoals5kHYniRCR93E\
         l3F6xuEKM_hmu0ig61_jJf0X257UKF3U7JfJ3vIYCi3tkP8I4b122CMV9SoPge99yWCdeKCJKPgS1ZMQ_zFo8boU\
         CNmAXrewFSYkIhOighbv3OML6ThnQ3fMOWV9Nr-8RSZTFP0k4LZ8dT0vs0zW9I4cilKs0eJ6I2m0KA",
    ),
    (
        "no 1 before the salt",
        "XHslFf4pacTUrDAX1O293cMQyOObyZOGFl3la9KbwWHu7mO71t-HD_2auVhPSgY-YY1fQ-zLxc8m14k9t-l3YMT5\
         zNxW22jHQjq_qBHBlrlXWLeS_d8Rb8vJICkPjb99-mTEmB9zU2V7fsT9Y5AKOJrYx7tsl4P3eufAcCcSbxIx_ddz\
         L0nZ3S6O4zO7PB3FpNaQDk-zerRIH0KdCVVYpdxB6w6VE6IzU488cTF50zyEahDW9XRgTTHWIZhUOdwtY8r5kMa5\
         _UHzsZ3Du-rNlw18CAT76X815htU7QfAu0GC80taDNwUQSs0fj-xhGwYEnY2BAnborDwn2gOu90o4A",
    ),
    (
        "padding that is not all zeros",
        "erZiJq-VRFKsU1s_7Syuc8An5HbXD3eABxkQFcO_TuALMgpBRAX8BTKkSIuafac6ZyAVT0liNtB_ZfIgpWB4yy13\
         IYnTS1XRUn6Kn7zP3df1uhU4F83k9DOdwuXwzXteLv8-MuVik6lj_2c2w5ioPa7NKnR3zS8R-C-A8nFHu7ccuNFA\
         hMK4WXsEQHPMakF5b_VKQgnI7dAmwkxy4Rk4YGDqN55hkVq8TbM8FNJjqPqI0k8nhoMc6VfIHw1tw6QBoXigg9tS\
         nzoKcEyyUjl0bBdZ-2xi7pPeDA3eD22-yBz8jHCnhcqGijSRk2PKPBmz8IXlPLh_y9JcPrxaOnxMGg",
    ),
    (
        "the highest bit set",
        "A6DXq_hs0_m0U-YzSe8nt_dpV5UfrrDEqIZzw6kvQ-_bO0qyB8zJu6Yn9GT2Vvj4h5PGlISG8d5_Qpx7Jb1Y9zgB\
         rLZ1j5lYNlO7eRd7DaMSpNtfsBteYMBB6mXa9pm1uCAr3ed_aIIvjvtYG4AZ740L3GAM4A7Mnm_5zYvicCESwXiQ\
         WJ8POmM1tW5aKYq9PRY-BhJxRZWbQCIJnC6W4aUnR3KKKKFu3_FDkY4II0fqBo9zNX2CDn-RrGe36mFSlCxsANKz\
         61hGnc_-faKSdBn1Y86HZ-EwYJKSZIPJOpxCf19uxPjKZkvnuD9_pFU1AJJaxO1Gg4GPPtj94P755g",
    ),
    (
        "the signature and the modulus",
        "xLx8MaI-BjvHAf0DXAv-nsu1yiTlYshq3B0QD-RQeJskxz6Wuacz5l4wdM0SR5Arp6O1k0vdUlDfldRIfAW6VT4W\
         fNOOJViTt0XS8oROnwx8eE1m4w7M8KLrzFAJ9jIGwi7cwC66kypawug6jwgRYJKLR4R8YYs8wriqYmbDE7earUsh\
         Yv31C0IQjaF050Ut7fULDESQtzlbMST0uHDUYWslMPrJOUQxKKi_9b3mF276Fo3pZHPY4oner10uOfoy-YU0HUUH\
         65mtH06fs5j02l4bmC4__FxSpIPRyqXolnQ8Y8a9Rx5fU7AJYR-7FX7jjlXL30-kEcigfZe_QSWodw",
    ),
];

fn from_b64(text: &str) -> Vec<u8> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap()
}

/// Whether the lab's RSA key, bound to `alg`, takes a signature; by pure Rust and by the host, which must say the same.
fn holds(alg: Alg, signature: &[u8]) -> bool {
    let signature = &signature.to_vec();
    let rules =
        SetRules { algorithms: [alg].into_iter().collect(), max_keys: 1, fetched: true, min_secret: None };
    let jwk = portcullis_token_lab::public_jwk(alg.as_str(), "rsa");
    let set = KeySet::read(json!({"keys": [jwk]}).to_string().as_bytes(), &rules).unwrap();
    let by = |host: &dyn Host| set.keys()[0].verifies(SIGNED, signature, host);
    let pure = by(&MemoryHost::default());
    assert_eq!(pure, by(&native()), "pure Rust and the host disagree");
    pure
}

#[test]
fn a_pkcs1_signature_has_the_padding_of_the_rfc() {
    assert!(holds(Alg::RS256, &from_b64(GOOD_PKCS1)));
    for (kind, signature) in PKCS1 {
        assert!(!holds(Alg::RS256, &from_b64(signature)), "{kind}");
    }
}

#[test]
fn a_pss_signature_has_the_padding_of_the_rfc_and_a_salt_as_long_as_its_hash() {
    assert!(holds(Alg::PS256, &from_b64(GOOD_PSS)));
    for (kind, signature) in PSS {
        assert!(!holds(Alg::PS256, &from_b64(signature)), "{kind}");
    }
}

#[test]
fn a_signature_of_one_padding_is_none_of_the_other_and_has_the_length_of_the_modulus() {
    for (alg, good, other) in [(Alg::RS256, GOOD_PKCS1, GOOD_PSS), (Alg::PS256, GOOD_PSS, GOOD_PKCS1)] {
        let good = from_b64(good);
        assert!(!holds(alg, &from_b64(other)), "{alg}: the other padding");
        assert!(!holds(alg, &[&[0][..], &good].concat()), "{alg}: a zero in front");
        assert!(!holds(alg, &[&good[..], &[0]].concat()), "{alg}: a zero behind");
        assert!(!holds(alg, &good[1..]) && !holds(alg, &good[..255]), "{alg}: a byte is missing");
        for edge in [vec![], vec![0; 256], [&[0; 255][..], &[1]].concat(), vec![0xff; 256]] {
            assert!(!holds(alg, &edge), "{alg}: {} bytes of an edge", edge.len());
        }
    }
}
